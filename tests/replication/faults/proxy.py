"""A TCP proxy that knows MongoDB's commands, to fail, cut or hold back the ones that a test names.

It stands between one worker and one server, so that a test can kill the worker while a certain
command is on its way: between its writes and its commit, or after the commit and before the
answer.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from bson.raw_bson import RawBSONDocument

from sandbox.gate.listener import Listener, close
from sandbox.gate.wire import FrameSplitter, OpCode, Request, parse_request, response_to
from tests.replication.faults.rules import Cuts, Fails, Failure, Holds, Message, Moment, Rules

T = TypeVar("T")
_READ = 1 << 18  # bytes
_ENDS = frozenset({"commitTransaction", "abortTransaction"})
_WRITES = frozenset({"insert", "update", "delete"})
_CONTROL = "replication"
_PATIENCE = 10.0  # seconds for anything that the loop is asked to do


class Wire:
    """The event loop that all proxies of a test run in, in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(_PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Proxy:
    """One worker's way to one server. ``uri`` is what the worker is given."""

    def __init__(self, wire: Wire, worker: str, upstream_port: int, rules: Rules) -> None:
        self._wire = wire
        self._worker = worker
        self._upstream_port = upstream_port
        self._rules = rules
        self._writers: set[asyncio.StreamWriter] = set()
        self._written: dict[bytes, str] = {}  # the collection of each session's last write
        self._listener = Listener(self._serve)
        wire.run(self._listener.start("127.0.0.1", 0, limit=1 << 20))
        self.port = self._listener.port

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    def cut_all(self) -> None:
        """Close every connection that is open now."""
        self._wire.run(self._abort())

    def stop(self) -> None:
        self._wire.run(self._stop())

    async def _stop(self) -> None:
        await self._abort()
        await self._listener.stop()

    async def _abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except OSError:  # the server is away, and so is this way to it
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        try:
            with contextlib.suppress(OSError):
                await _Connection(self, reader, writer, up_reader, up_writer).run()
        finally:
            self._writers -= {writer, up_writer}
            writer.transport.abort()
            await close(up_writer)

    def message(self, request: Request) -> Message | None:
        """Return what rules look at, None for what the driver asks before it is connected."""
        if request.opcode is not OpCode.MSG:
            return None
        body = RawBSONDocument(request.frame[request.body : request.body_end])
        database = str(body.get("$db", ""))
        value = body.get("collection") if request.command == "getMore" else body[request.command]
        collection = value if isinstance(value, str) else ""
        session = bytes(body["lsid"]["id"]) if "lsid" in body else b""
        if request.command in _ENDS:
            collection = self._written.get(session, "")
        elif request.command in _WRITES and database != _CONTROL:
            self._written[session] = collection
        return Message(self._worker, request.command, database, collection)

    @property
    def rules(self) -> Rules:
        return self._rules


class _Connection:
    """Carries messages both ways until one side ends, or a rule ends it."""

    def __init__(
        self,
        proxy: Proxy,
        client_reader: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._client_reader, self._client = client_reader, client
        self._server_reader, self._server = server_reader, server
        self._awaited: dict[int, tuple[Request, Message]] = {}

    async def run(self) -> None:
        loops = {asyncio.create_task(self._requests()), asyncio.create_task(self._answers())}
        try:
            ended, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
        for loop in ended:
            loop.result()

    async def _requests(self) -> None:
        splitter = FrameSplitter()
        while data := await self._client_reader.read(_READ):
            for frame in splitter.feed(data):
                if not await self._request(parse_request(frame)):
                    return

    async def _request(self, request: Request) -> bool:
        message = self._proxy.message(request)
        rule = None
        if message is not None:
            rule = self._proxy.rules.meet(message, Moment.REQUEST)
            if self._proxy.rules.await_answer(message):
                self._awaited[request.request_id] = request, message
        if isinstance(rule, Cuts) or (isinstance(rule, Holds) and not await _decided(rule)):
            return False
        if isinstance(rule, Fails):
            self._client.write(_answer(request, rule.failure))
            await self._client.drain()
        else:
            self._server.write(request.frame)
            await self._server.drain()
        return True

    async def _answers(self) -> None:
        splitter = FrameSplitter()
        while data := await self._server_reader.read(_READ):
            for frame in splitter.feed(data):
                if not await self._pass_answer(frame):
                    return
            await self._client.drain()

    async def _pass_answer(self, frame: bytes) -> bool:
        request, message = self._awaited.pop(response_to(frame), (None, None))
        rule = None
        if message is not None:
            rule = self._proxy.rules.meet(message, Moment.ANSWER)
        if isinstance(rule, Cuts) or (isinstance(rule, Holds) and not await _decided(rule)):
            return False
        if isinstance(rule, Fails) and request is not None:
            frame = _answer(request, rule.failure)
        self._client.write(frame)
        return True


async def _decided(rule: Holds) -> bool:
    """Wait until a message that is held back may go; False when it is lost."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(event.set)

    rule.when_decided(wake)
    await event.wait()
    return not rule.dropped


def _answer(request: Request, failure: Failure) -> bytes:
    if failure.of_a_write:
        error = {"index": 0, "code": failure.code, "errmsg": failure.text}
        return request.answer({"n": 0, "writeErrors": [error], "ok": 1.0})
    document: dict[str, Any] = {
        "ok": 0.0,
        "errmsg": failure.text,
        "code": failure.code,
        "codeName": f"Code{failure.code}",
    }
    if failure.labels:
        document["errorLabels"] = list(failure.labels)
    return request.answer(document)
