"""A MongoDB server that does nothing, quickly: ``python -m benchmarks.null_server --port 27099``.

It serves change batches that were encoded before anybody asked, and acknowledges every write, in
transactions too, without storing anything. What is left is the client's own ceiling. Streams whose
pipeline projects get events without what was projected away, as from a real server.
"""

import argparse
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
from bson import Int64, Timestamp
from bson.json_util import loads

from benchmarks.encoded_changes import EVENTS_PER_SECOND, FIRST_SECOND, Units

_HEADER = struct.Struct("<iiii")
_OP_MSG, _OP_QUERY = 2013, 2004
_REPLY_BYTES = 16 * 1024 * 1024
_AWAIT = 0.05  # seconds that an unanswered poll is held
_NAMESPACE = "source.rows"
_CURSOR = Int64(777)
_WRITES = frozenset({"update", "insert", "delete", "findAndModify", "commitTransaction"})


@dataclass
class Progress:
    """What the clients have read and written."""

    events: int  # left to serve
    served: int = 0
    committed: int = 0  # events of the position
    written: int = 0  # bytes of write commands


class NullServer:
    """Answers commands; see the module."""

    def __init__(
        self,
        port: int,
        *,
        events: int,
        size: int,
        latency: float,
        behind: int,
        answers: Mapping[str, Any],
    ) -> None:
        self._port = port
        self._behind = behind
        self._latency = latency
        self._answers = answers
        self._units = {
            projected: Units.of(size, projected=projected) for projected in (False, True)
        }
        self._projected = False
        self._total = events
        self._progress = Progress(events)

    def serve(self) -> None:
        """Accept connections for ever."""
        with socket.create_server(("127.0.0.1", self._port), backlog=64) as listener:
            print("ready", flush=True)
            while True:
                connection, _address = listener.accept()
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            while frame := _received(connection):
                request, kind = frame[4:8], _HEADER.unpack_from(frame)[3]
                if kind == _OP_QUERY:
                    body = self._hello()
                    head = struct.pack("<iiii", 36 + len(body), 0, 0, 1)
                    rest = struct.pack("<iqii", 8, 0, 0, 1)
                    connection.sendall(head[:8] + request + head[12:] + rest + body)
                    continue
                body = self._answer(frame)
                head = struct.pack("<ii", 21 + len(body), 0)
                head += request + struct.pack("<i", _OP_MSG) + b"\0\0\0\0\0"
                connection.sendall(head)
                connection.sendall(body)

    def _answer(self, frame: bytes) -> bytes:
        name = frame[26 : frame.index(b"\0", 26)].decode()
        if name == "getMore":
            return self._more(frame)
        if name in _WRITES:
            return self._written(name, frame)
        if name in ("hello", "ismaster", "isMaster"):
            return self._hello()
        command = _command(frame)
        if name == "aggregate":
            return self._aggregated(command)
        if name == "find":
            found = dict(self._answers.get(command["find"], {}))
            if command["find"] == "positions":
                found |= {"events": self._progress.committed, "written": self._progress.written}
            return _cursor(0, "firstBatch", [found] if found else [])
        if name == "listIndexes":
            return _cursor(0, "firstBatch", [{"v": 2, "key": {"_id": 1}, "name": "_id_"}])
        return bson.encode({"ok": 1.0})

    def _aggregated(self, command: Mapping[str, Any]) -> bytes:
        stages = command["pipeline"]
        if "$changeStream" not in stages[0]:
            return _cursor(0, "firstBatch", [])
        self._projected = any("$project" in stage for stage in stages)
        self._progress = Progress(self._total)
        return _cursor(_CURSOR, "firstBatch", [])

    def _more(self, frame: bytes) -> bytes:
        wanted = int(_command(frame).get("batchSize", 1_000))
        units, progress = self._units[self._projected], self._progress
        if progress.events <= 0:
            time.sleep(_AWAIT)
            return _cursor(_CURSOR, "nextBatch", [])
        count = max(1, min(wanted, progress.events) // units.events)
        count = max(1, min(count, _REPLY_BYTES // len(units.encoded[0])))
        start = progress.served // units.events
        chosen = [units.served(start + each) for each in range(count)]
        progress.served += count * units.events
        progress.events -= count * units.events
        token = bson.encode({"_data": f"82{progress.served:032X}"})
        reached = Timestamp(FIRST_SECOND + start + count - 1 + self._behind, EVENTS_PER_SECOND)
        return _with_batch(b"".join(chosen), token, reached)

    def _written(self, name: str, frame: bytes) -> bytes:
        self._progress.written += len(frame)
        if self._latency:
            time.sleep(self._latency)
        if name == "findAndModify":
            found = self._answers.get(_command(frame)[name])
            return bson.encode({"value": found, "ok": 1.0})
        if name == "update" and b"\x02update\0\x0a\0\0\0positions\0" in frame[:64]:
            self._note(_payload(frame))
        return _DONE

    def _note(self, updates: Iterator[Mapping[str, Any]]) -> None:
        for update in updates:
            fields = update["u"]["$set"]
            self._progress.committed = fields.get("events", self._progress.committed)

    def _hello(self) -> bytes:
        address = f"127.0.0.1:{self._port}"
        return bson.encode(
            {
                "isWritablePrimary": True,
                "ismaster": True,
                "helloOk": True,
                "maxBsonObjectSize": 16 * 1024 * 1024,
                "maxMessageSizeBytes": 48_000_000,
                "maxWriteBatchSize": 100_000,
                "logicalSessionTimeoutMinutes": 30,
                "minWireVersion": 0,
                "maxWireVersion": 25,
                "setName": "null",
                "setVersion": 1,
                "hosts": [address],
                "me": address,
                "primary": address,
                "ok": 1.0,
            }
        )


_DONE = bson.encode({"n": 1, "nModified": 1, "ok": 1.0})


def _received(connection: socket.socket) -> bytes:
    """Return the next message, or nothing at the end."""
    head = connection.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        return b""
    frame = bytearray(int.from_bytes(head, "little"))
    frame[:4] = head
    view, got = memoryview(frame), 4
    while got < len(frame):
        more = connection.recv_into(view[got:])
        if not more:
            return b""
        got += more
    return bytes(frame)


def _command(frame: bytes) -> Mapping[str, Any]:
    """Return the command of a message, without what it carries in sequences."""
    return bson.decode(frame[21 : 21 + int.from_bytes(frame[21:25], "little")])


def _payload(frame: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the documents of a message's sequence."""
    start = 21 + int.from_bytes(frame[21:25], "little")
    if start < len(frame):
        yield from bson.decode_all(frame[frame.index(b"\0", start + 5) + 1 :])


def _cursor(identifier: int, name: str, documents: list[Any]) -> bytes:
    cursor = {"id": Int64(identifier), "ns": _NAMESPACE, name: documents}
    if identifier:
        cursor["postBatchResumeToken"] = {"_data": "82" + "0" * 32}
    return bson.encode({"cursor": cursor, **_STAMP})


def _with_batch(elements: bytes, token: bytes, reached: Timestamp) -> bytes:
    array = struct.pack("<i", len(elements) + 5) + elements + b"\0"
    head = bson.encode({"id": _CURSOR, "ns": _NAMESPACE})[4:-1]
    inner = head + b"\x04nextBatch\0" + array + b"\x03postBatchResumeToken\0" + token
    cursor = struct.pack("<i", len(inner) + 5) + inner + b"\0"
    outer = b"\x03cursor\0" + cursor + bson.encode(_STAMP | {"operationTime": reached})[4:-1]
    return struct.pack("<i", len(outer) + 5) + outer + b"\0"


_STAMP = {"ok": 1.0, "operationTime": Timestamp(FIRST_SECOND - 1, 1)}


def main() -> None:
    """Serve what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=300, help="bytes of a document")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds of each write")
    parser.add_argument(
        "--behind", type=int, default=0, help="seconds that events are behind the server's time"
    )
    parser.add_argument("--answers", type=Path, help="documents by collection, as extended JSON")
    chosen = parser.parse_args()
    answers = loads(chosen.answers.read_text()) if chosen.answers else {}
    server = NullServer(
        chosen.port,
        events=chosen.events,
        size=chosen.size,
        latency=chosen.latency,
        behind=chosen.behind,
        answers=answers,
    )
    server.serve()


if __name__ == "__main__":
    main()
