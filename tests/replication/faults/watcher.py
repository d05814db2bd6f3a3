"""An independent look at the destination: every change of it in the order of its commits.

Positions and copies are in one change stream, so what is seen of a copy can be judged by the
position that was committed with it.
"""

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from bson import Timestamp
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.replication.running import Document
from tests.waiting import wait_until

_CONTROL = "replication"
_MARKERS = "watcher"


class StreamHistory:
    """What was seen of one stream. ``faults`` says what must not have happened."""

    def __init__(self, collection: str) -> None:
        self.collection = collection
        self.faults: list[str] = []
        self.commits = 0  # of the position
        self.epochs: list[int] = []
        self.generation = 0
        self.consistent = False
        self._stored: dict[str, Any] = {}
        self._seq: dict[str, int] = {}  # by key: as last written, and the newest once consistent
        self._owners: dict[int, bytes] = {}  # the session that writes in an epoch

    def on_position(self, fields: Mapping[str, Any]) -> None:
        """Judge a change of the stream's position."""
        before, self._stored = self._stored, {**self._stored, **fields}
        if "epoch" in fields and fields["epoch"] != before.get("epoch"):
            self._must_grow("epoch", before, fields)
            self.epochs.append(fields["epoch"])
        if "batch" not in fields:
            return
        self.commits += 1
        if before and fields["batch"] != before.get("batch", 0) + 1:
            self._fault(f"batch {before.get('batch')} is followed by {fields['batch']}")
        self._must_grow("generation", before, fields)
        began_anew = fields.get("generation", 0) > before.get("generation", 0)
        self.generation = self._stored.get("generation", 0)
        self._must_grow("events", before, fields)
        self._must_grow("cluster_time", before, fields)
        if not began_anew and before.get("consistent_since") and "consistent_since" in fields:
            self._fault("the copy was consistent, and then it was not")
        self.consistent = self._stored.get("consistent_since") is not None

    def on_write(self, change: Mapping[str, Any], with_position: bool) -> None:
        """Judge a change of the copy. A snapshot may still write what a later change replaces."""
        key = repr(change["documentKey"]["_id"])
        seq = (change.get("fullDocument") or {}).get("seq")
        if not self.consistent:
            if seq is not None:
                self._seq[key] = seq
            return
        if seq is not None:
            newest = self._seq.get(key, seq)
            if seq < newest:
                self._fault(f"{key} went back from {newest} to {seq}")
            self._seq[key] = max(seq, newest)
        if not with_position:
            self._fault(f"{change['operationType']} of {key} outside of a fenced transaction")
            return
        epoch, session = self._stored.get("epoch", 0), bytes(change["lsid"]["id"])
        if self._owners.setdefault(epoch, session) != session:
            self._fault(f"two owners wrote in epoch {epoch}")

    def _must_grow(self, name: str, before: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        old, new = before.get(name), fields.get(name)
        if old is not None and new is not None and new < old:
            self._fault(f"{name} went back from {old} to {new}")

    def _fault(self, text: str) -> None:
        self.faults.append(f"{self.collection}: {text}")


class Watcher:
    """Watches a database of copies beside the block."""

    def __init__(self, uri: str, database: str) -> None:
        self._client: MongoClient[Document] = MongoClient(
            uri, serverSelectionTimeoutMS=1000, serverMonitoringMode="poll"
        )
        self._database = database
        self._streams: dict[str, StreamHistory] = {}
        self._markers: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher")
        self._pending: list[Mapping[str, Any]] = []
        self._markers_set = 0
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        started = threading.Event()
        self._started = started
        self._thread.start()
        assert started.wait(20), "the watcher does not see the destination"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def history(self, collection: str) -> StreamHistory:
        return self._streams.setdefault(collection, StreamHistory(collection))

    def faults(self) -> list[str]:
        """Everything that must not have happened, up to now."""
        self.catch_up()
        return [fault for stream in self._streams.values() for fault in stream.faults]

    def catch_up(self, timeout: float = 60.0) -> None:
        """Wait until everything that is committed now has been judged."""
        self._markers_set += 1
        number = self._markers_set
        self._client[self._database][_MARKERS].insert_one({"_id": number})

        def seen() -> bool:
            assert self._thread.is_alive(), f"the watcher ended: {self._error!r}"
            return number in self._markers

        wait_until(seen, timeout=timeout, what="the watcher has seen everything")

    def _watch(self) -> None:
        token: Mapping[str, Any] | None = None
        pipeline = [{"$match": {"ns.db": {"$in": [self._database, _CONTROL]}}}]
        try:
            while not self._stop.is_set():
                try:
                    with self._client.watch(
                        pipeline, max_await_time_ms=200, start_after=token
                    ) as stream:
                        self._started.set()
                        while not self._stop.is_set() and stream.alive:
                            change = stream.try_next()
                            token = stream.resume_token
                            if change is None:
                                self._flush()
                            else:
                                self._take(change)
                except PyMongoError:  # the server is away; the token says where to go on
                    self._stop.wait(0.1)
        except Exception as error:
            self._error = error
            raise

    def _take(self, change: Mapping[str, Any]) -> None:
        """Collect the changes of one transaction, which share a session and a number."""
        if self._pending and _transaction(self._pending[0]) != _transaction(change):
            self._flush()
        self._pending.append(change)
        if "txnNumber" not in change:
            self._flush()

    def _flush(self) -> None:
        changes, self._pending = self._pending, []
        positions = [change for change in changes if _is_control(change, "positions")]
        moved = {_collection_of(change) for change in positions if "lsid" in change}
        # The position decides by what the writes beside it are judged, but a new generation's
        # first commit writes nothing, and a batch's writes belong to the time before its end.
        for change in changes:
            name = change["ns"].get("coll", "")
            if change["ns"].get("db") != self._database or "documentKey" not in change:
                continue
            if name == _MARKERS:
                self._markers.add(change["documentKey"]["_id"])
            else:
                self.history(name).on_write(change, name in moved)
        for change in positions:
            if self._mine(change):
                self.history(_collection_of(change)).on_position(_fields(change))

    def _mine(self, change: Mapping[str, Any]) -> bool:
        source = f"from-{self._database.removeprefix('to-')}"
        return f"/{source}." in str(change["documentKey"]["_id"])


def _transaction(change: Mapping[str, Any]) -> tuple[bytes, int] | None:
    if "txnNumber" not in change:
        return None
    return bytes(change["lsid"]["id"]), change["txnNumber"]


def _is_control(change: Mapping[str, Any], collection: str) -> bool:
    namespace = change["ns"]
    return (namespace.get("db"), namespace.get("coll")) == (_CONTROL, collection)


def _collection_of(change: Mapping[str, Any]) -> str:
    """The name of the collection that a position is about."""
    return str(change["documentKey"]["_id"]).rpartition(".")[2]


def _fields(change: Mapping[str, Any]) -> Mapping[str, Any]:
    described = change.get("updateDescription")
    fields: Mapping[str, Any] = (
        described["updatedFields"] if described else change.get("fullDocument") or {}
    )
    return {
        name: (value.time, value.inc) if isinstance(value, Timestamp) else value
        for name, value in fields.items()
    }
