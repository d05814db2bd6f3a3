"""One client's connection: its sign-in, and its messages to and from a connection upstream.

Two loops run side by side, one in each direction. Each waits until the other side has taken what
it wrote before it reads on, so a slow reader slows the writer, and nothing piles up here. Every
message is written whole, so an answer of the gate's own never lands inside one of the server's.

Before sign-in nothing that the client sent reaches the server: what may be asked then is asked
anew, in the gate's own words.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.gate import azure
from sandbox.gate.errors import (
    Code,
    CommandError,
    authentication_failed,
    reauthentication_required,
    unauthorized,
)
from sandbox.gate.policy import Policy
from sandbox.gate.tokens import Identity, TokenRefused
from sandbox.gate.wire import (
    MAX_MESSAGE,
    FrameSplitter,
    OpCode,
    Request,
    WireError,
    command_message,
    decode,
    parse_request,
    response_to,
)

READ_SIZE = 256 * 1024  # bytes
# Before sign-in only small messages make sense, and they cost memory here.
MAX_MESSAGE_BEFORE_SIGN_IN = 1024 * 1024

_HELLO = frozenset({"hello", "isMaster", "ismaster"})
_OPEN_TO_ALL = _HELLO | {"ping", "buildInfo", "buildinfo"}
_MECHANISM = "MONGODB-OIDC"


@dataclass
class Connection:
    """Carries messages between ``client`` and ``upstream`` until one of them ends."""

    policy: Policy
    client_reader: asyncio.StreamReader
    client: asyncio.StreamWriter
    upstream_reader: asyncio.StreamReader
    upstream: asyncio.StreamWriter
    _identity: Identity | None = None
    # Requests that the gate sent for itself, by an id that no client can guess.
    _asked: dict[int, Request] = field(default_factory=dict)
    _splitter: FrameSplitter = field(
        default_factory=lambda: FrameSplitter(MAX_MESSAGE_BEFORE_SIGN_IN)
    )

    async def run(self) -> None:
        """Carry messages until either side closes or sends what cannot be trusted.

        Raises:
            WireError: the client sent something that is not one unambiguous message.
            OSError: a connection broke.
        """
        loops = {
            asyncio.create_task(self._from_client()),
            asyncio.create_task(self._from_upstream()),
        }
        try:
            ended, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
        for loop in ended:
            loop.result()

    async def _from_client(self) -> None:
        while data := await self.client_reader.read(READ_SIZE):
            for frame in self._splitter.feed(data):
                await self._handle(parse_request(frame))

    async def _from_upstream(self) -> None:
        splitter = FrameSplitter()
        while data := await self.upstream_reader.read(READ_SIZE):
            for frame in splitter.feed(data):
                request = self._asked.pop(response_to(frame), None)
                if request is None:
                    self.client.write(frame)
                elif request.wants_answer:
                    self.client.write(self._own_answer(request, frame))
            await self.client.drain()

    async def _handle(self, request: Request) -> None:
        try:
            answer = await self._decide(request)
        except CommandError as refusal:
            self.policy.statistics.count_refusal(refusal.code)
            answer = refusal.document()
        if answer is None:
            await self.upstream.drain()
        elif request.wants_answer:
            self.client.write(request.answer(answer))
            await self.client.drain()

    async def _decide(self, request: Request) -> Mapping[str, Any] | None:
        """Return the gate's own answer, or None once the request is on its way upstream."""
        match request.command:
            case "saslStart":
                return await self._sign_in(request)
            case "saslContinue":
                raise authentication_failed("SaslContinue called without SaslStart state.")
            case "logout":
                self._identity = None
                self._splitter.limit = MAX_MESSAGE_BEFORE_SIGN_IN
                return {"ok": 1.0}
        if self._identity is None:
            return self._before_sign_in(request)
        if not self._signed_in():
            # Also while a new sign-in keeps failing: drivers recover from 391, never from 13.
            raise reauthentication_required()
        self._forward(request)
        return None

    def _signed_in(self) -> bool:
        return self._identity is not None and self._identity.expires_at > self.policy.clock()

    async def _sign_in(self, request: Request) -> Mapping[str, Any]:
        command = request.document()
        if command.get("mechanism") != _MECHANISM:
            raise authentication_failed(f"Only {_MECHANISM} is supported.")
        try:
            identity = await self.policy.verifier.verify(_token(command.get("payload")))
        except TokenRefused as refusal:
            self.policy.note_refused_token(str(refusal))
            raise authentication_failed(str(refusal)) from None
        if self._signed_in():
            # As Azure's gateway does: a client must wait for 391, or open another connection.
            raise CommandError(
                Code.InternalError, "Authentication expiry timer is already initialized"
            )
        self._identity = identity
        self._splitter.limit = MAX_MESSAGE
        self.policy.statistics.sasl_ok += 1
        return {"conversationId": 1, "done": True, "payload": b"", "ok": 1.0}

    def _before_sign_in(self, request: Request) -> Mapping[str, Any] | None:
        if request.command in _OPEN_TO_ALL:
            self._ask(request)
            return None
        if request.command == "endSessions":
            return {"ok": 1.0}  # said by a driver that closes; nothing was begun here
        raise unauthorized(request.command[:80])

    def _forward(self, request: Request) -> None:
        if request.command in _HELLO:
            self._ask(request)
            return
        if request.opcode is OpCode.QUERY:
            raise CommandError(
                Code.UnsupportedOpQueryCommand,
                f"Unsupported OP_QUERY command: {request.command[:80]}. "
                "The client driver may require an upgrade.",
            )
        if not request.command.isidentifier():
            raise CommandError(Code.CommandNotFound, f"no such command: '{request.command[:80]}'")
        frame = request.frame
        if azure.needs_inspection(request):
            command = request.document()
            if self.policy.restricted:
                frame = request.with_document(azure.restricted(request, command))
            if azure.opens_change_stream(command):
                self.policy.statistics.change_streams_opened += 1
        self.policy.statistics.forwarded += 1
        self.upstream.write(frame)

    def _ask(self, request: Request) -> None:
        """Send the server this command in the gate's own words, without the client's options.

        So speculative authentication, compression, streamed answers and metadata end here.
        """
        request_id = secrets.randbits(32) - 2**31
        self._asked[request_id] = request
        self.upstream.write(command_message({request.command: 1, "$db": "admin"}, request_id))

    def _own_answer(self, request: Request, frame: bytes) -> bytes:
        # The question was an OP_MSG without options, so this is one document behind 21 bytes.
        document: Mapping[str, Any] = decode(frame[21:])
        if request.command in _HELLO:
            document = azure.hello(document, request.command, limited=self.policy.restricted)
        return request.answer(document)


def _token(payload: object) -> object:
    """What the payload of a sign-in holds as its token, of whatever type."""
    refusal = CommandError(Code.BadValue, "Failed to parse OIDC payload as BSON.")
    if not isinstance(payload, bytes):
        raise refusal
    try:
        return decode(payload).get("jwt")
    except WireError:
        raise refusal from None
