"""What tests of the gate stand on: a token issuer, a running gate, and a client without manners."""

import asyncio
import functools
import json
import socket
import ssl
import struct
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import bson
import jwt
from bson.binary import Binary
from cryptography.hazmat.primitives.asymmetric import rsa
from pymongo import MongoClient
from pymongo.auth_oidc import OIDCCallback, OIDCCallbackContext, OIDCCallbackResult

from sandbox.gate.policy import Policy
from sandbox.gate.server import Address, Gate
from sandbox.gate.tokens import JwksEndpoint, SigningKeys, TokenVerifier

AUDIENCE = "https://ossrdbms-aad.database.windows.net"
ISSUER = "https://localhost/7a1f0c52-3c1d-4d86-9b53-6f0f9d1c2e11/v2.0"
PRINCIPAL = "11111111-2222-4333-8444-555555555555"
OP_QUERY, OP_GET_MORE, OP_COMPRESSED, OP_MSG = 2004, 2005, 2012, 2013

Document = dict[str, Any]


@functools.cache
def private_key(number: int) -> rsa.RSAPrivateKey:
    """One of a few keys that all tests share, because making one takes long."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class TokenIssuer:
    """Mints tokens in Entra's shape and publishes the keys, over HTTP on loopback."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.key, self.key_id = private_key(0), uuid.uuid4().hex
        self.keys_reads = 0
        self._ahead = 0.0
        issuer = self

        class Keys(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.keys_reads += 1
                body = json.dumps(issuer.key_set()).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing: tests read the output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def keys_url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/discovery/v2.0/keys"

    def key_set(self) -> Document:
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": self.key_id, "use": "sig"}]}

    def rotate(self) -> None:
        """Sign with another key from now on, and publish only that one."""
        self.key = private_key(1) if self.key is private_key(0) else private_key(0)
        self.key_id = uuid.uuid4().hex

    def now(self) -> float:
        """The time by which tokens are minted here and judged by the gates."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let tokens expire without waiting: put the clock of this issuer and its gates on."""
        self._ahead += seconds

    def claims(self, lifetime: float = 3600.0) -> Document:
        now = self.now()
        return {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": int(now),
            "nbf": int(now),
            "exp": now + lifetime,
            "oid": PRINCIPAL,
            "sub": PRINCIPAL,
        }

    def mint(self, lifetime: float = 3600.0, **changes: object) -> str:
        """Return a signed token; a claim changed to None is left out."""
        claims = {**self.claims(lifetime), **changes}
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.key_id})

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class MintingCallback(OIDCCallback):
    """The driver's callback; counts how often the driver asked for a token."""

    def __init__(self, mint: Callable[[], str]) -> None:
        self.mint = mint
        self.calls = 0

    def fetch(self, context: OIDCCallbackContext) -> OIDCCallbackResult:
        self.calls += 1
        return OIDCCallbackResult(access_token=self.mint())


class RunningGate:
    """A gate on a free port, in a thread with an event loop of its own.

    ``uri`` is what clients connect to, without an authentication mechanism. ``issuer`` mints the
    tokens that it accepts, and ``issuer.advance(seconds)`` makes them expire at once.
    ``statistics()`` are its counters. Stop it with ``stop()``.
    """

    def __init__(
        self,
        upstream_port: int,
        issuer: TokenIssuer,
        *,
        unrestricted: bool,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.issuer = issuer
        self._tls = tls
        self._upstream_port = upstream_port
        self._unrestricted = unrestricted
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._started.wait(10), "the gate did not start"

    async def _run(self) -> None:
        verifier = TokenVerifier(
            keys=SigningKeys(JwksEndpoint(self.issuer.keys_url), window=0.05),
            issuer=ISSUER,
            audience=AUDIENCE,
            principals=frozenset({PRINCIPAL}),
            clock=self.issuer.now,
        )
        self._gate = Gate(
            listen=Address("127.0.0.1", 0),
            upstream=Address("127.0.0.1", self._upstream_port),
            policy=Policy(verifier, restricted=not self._unrestricted, clock=self.issuer.now),
            tls=self._tls,
        )
        await self._gate.start()
        self.port = self._gate.port
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        await self._stop.wait()
        await self._gate.stop()

    @property
    def uri(self) -> str:
        tls = "true" if self._tls else "false"
        return f"mongodb://localhost:{self.port}/?directConnection=false&tls={tls}"

    def statistics(self) -> Mapping[str, int]:
        return self._gate.policy.statistics.as_dict()

    def callback(self, lifetime: float = 3600.0) -> MintingCallback:
        """A callback for pymongo that mints tokens with this lifetime in seconds."""
        return MintingCallback(lambda: self.issuer.mint(lifetime))

    def client(self, callback: OIDCCallback | None = None, **options: Any) -> MongoClient[Document]:
        """A real client that signs in by MONGODB-OIDC; close it."""
        return MongoClient(
            self.uri,
            authMechanism="MONGODB-OIDC",
            authMechanismProperties={"OIDC_CALLBACK": callback or self.callback()},
            serverSelectionTimeoutMS=10_000,
            **options,
        )

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()


class RecordingUpstream:
    """A listener that keeps what it is sent and answers nothing."""

    def __init__(self) -> None:
        self.received = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            reader = threading.Thread(target=self._read, args=(connection,))
            self._threads.append(reader)
            reader.start()

    def _read(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    self.received += data
            except OSError:
                return

    def stop(self) -> None:
        """Call once the gate in front has stopped, which closes the connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


class RawClient:
    """Speaks the wire protocol by hand, so that it can also speak it wrongly."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, frame: bytes) -> None:
        self.socket.sendall(frame)

    def receive(self) -> Document | None:
        """The next answer's document; None when the other side has closed."""
        head = self._read(16)
        if head is None:
            return None
        length, _, _, opcode = struct.unpack("<iiii", head)
        payload = self._read(length - 16)
        assert payload is not None
        return bson.decode(payload[5 if opcode == OP_MSG else 20 :])

    def _read(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            try:
                piece = self.socket.recv(size - len(data))
            except ConnectionResetError:
                piece = b""
            if not piece:
                return None
            data += piece
        return data

    def command(self, document: Mapping[str, Any]) -> Document:
        self.send(message(document))
        answer = self.receive()
        assert answer is not None, "the gate closed the connection"
        return answer

    def sign_in(self, token: object) -> Document:
        return self.command(sasl_start(token))


def sasl_start(token: object) -> Document:
    payload = Binary(bson.encode({"jwt": token} if token is not None else {}))
    return {"saslStart": 1, "mechanism": "MONGODB-OIDC", "payload": payload, "$db": "$external"}


def frame(payload: bytes, opcode: int = OP_MSG, *, length: int | None = None) -> bytes:
    size = len(payload) + 16 if length is None else length
    return struct.pack("<iiii", size, 7, 0, opcode) + payload


def message(document: Mapping[str, Any], *, flags: int = 0, tail: bytes = b"") -> bytes:
    return frame(struct.pack("<I", flags) + b"\0" + bson.encode(document) + tail)


def query(document: Mapping[str, Any], *, namespace: bytes = b"admin.$cmd") -> bytes:
    head = struct.pack("<i", 0) + namespace + b"\0" + struct.pack("<ii", 0, -1)
    return frame(head + bson.encode(document), OP_QUERY)
