"""What tests of replication stand on: a flow between two databases, and slices in threads."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.collection import Collection

from replication.mongo import Purpose
from replication.part_worker import PartWorker
from replication.parts import Part, Parts
from replication.planning import Splitting
from replication.position import MongoTracker, Position, control_database
from replication.preparing import PrepareCopy
from replication.spec import Namespace, StreamSpec
from replication.streams import RAW
from replication.worker import Clients, SliceResult, Timing, run_slice
from tests.waiting import wait_until

Document = dict[str, Any]
QUICK = Timing(lease=timedelta(seconds=1.5), idle_save=timedelta(seconds=0.2))


class Flow:
    """A stream between two databases of its own, and a look at both of its sides."""

    def __init__(
        self,
        source: MongoClient[Document],
        destination: MongoClient[Document],
        *,
        partition_fields: tuple[str, ...] = (),
        snapshot_again: bool = True,
        flow_id: UUID | None = None,
        splitting: Splitting | None = None,
        **options: Any,
    ) -> None:
        self.id = flow_id or uuid4()
        self.splitting = splitting
        self.prepare_copy: PrepareCopy | None = None
        self.clients = {"source": source, "destination": destination}
        self.spec = StreamSpec(
            flow_id=self.id,
            flow_name="costs",
            source=Namespace("source", f"from-{self.id.hex[:12]}", "rows"),
            destination=Namespace("destination", f"to-{self.id.hex[:12]}", "rows"),
            partition_fields=partition_fields,
            snapshot_again=snapshot_again,
            **options,
        )
        self.replaced: list[str] = []

    @property
    def source(self) -> Collection[Document]:
        return self.clients["source"][self.spec.source.database]["rows"]

    @property
    def copy(self) -> Collection[Document]:
        return self.clients["destination"][self.spec.destination.database]["rows"]

    def control(self, collection: str) -> Collection[Document]:
        return control_database(self.clients["destination"])[collection]

    def position(self) -> Position | None:
        return MongoTracker(control_database(self.clients["destination"])).load(self.spec.key)

    def parts(self) -> list[Part]:
        """The parts of the snapshot that is under way."""
        return Parts(control_database(self.clients["destination"])).of(self.spec.key)

    def copied(self) -> int:
        """How many documents of the source the snapshot has copied so far."""
        position = self.position()
        finished = (position.snapshot_copied or 0) if position else 0
        return max(finished, sum(part.copied for part in self.parts()))

    def part_worker(self, timing: Timing = QUICK) -> PartWorker:
        """Somebody who helps with the parts."""
        clients = Clients(get=self.client, replace=self.replaced.append)
        return PartWorker.of(self.spec, clients, timing.lease, structlog.get_logger())

    def events(self) -> int:
        position = self.position()
        return position.events if position else 0

    def consistent(self) -> bool:
        position = self.position()
        return position is not None and position.consistent_since is not None

    def lease(self) -> Document | None:
        return self.control("leases").find_one({"_id": self.spec.key})

    def partitions(self) -> list[Mapping[str, Any]]:
        """All partitions in the flow's marks, in the order of the marks."""
        marks = self.control("marks").find({"flow": str(self.id)}).sort("_id", 1)
        return [partition for mark in marks for partition in mark["partitions"]]

    def client(self, connection: str, purpose: Purpose) -> MongoClient[Document]:
        return self.clients[connection]

    def run(self, wanted: Callable[[], bool], timing: Timing = QUICK) -> SliceResult:
        clients = Clients(get=self.client, replace=self.replaced.append)
        return run_slice(
            self.spec,
            clients,
            timing,
            wanted=wanted,
            splitting=self.splitting,
            prepare_copy=self.prepare_copy,
        )

    def wait_for_events(self, count: int, timeout: float = 20.0) -> None:
        """Wait until at least ``count`` events have been applied."""
        wait_until(
            lambda: self.events() >= count, timeout=timeout, what=f"{count} events are applied"
        )

    def wait_until_consistent(self, timeout: float = 20.0) -> None:
        wait_until(self.consistent, timeout=timeout, what="the copy is consistent")

    def wait_for_equal_sides(self, timeout: float = 20.0) -> None:
        wait_until(
            lambda: raw(self.source) == raw(self.copy), timeout=timeout, what="both sides equal"
        )


class Slice:
    """A slice that runs in a thread until ``stop``."""

    def __init__(self, flow: Flow, timing: Timing = QUICK) -> None:
        self._stop = threading.Event()
        self._results: list[SliceResult] = []
        self._thread = threading.Thread(
            target=lambda: self._results.append(flow.run(lambda: not self._stop.is_set(), timing))
        )
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> SliceResult:
        self._stop.set()
        return self.result()

    def result(self, timeout: float = 30.0) -> SliceResult:
        """Wait for the slice's own end."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "the slice does not end"
        return self._results[0]


@contextmanager
def running(flow: Flow, timing: Timing = QUICK) -> Iterator[Slice]:
    """Run a slice beside the block."""
    slice_ = Slice(flow, timing)
    try:
        yield slice_
    finally:
        slice_.stop()


def raw(collection: Collection[Document]) -> dict[bytes, bytes]:
    """Every document's bytes, by the bytes of its key."""
    documents = collection.with_options(codec_options=RAW).find({})
    found = [RawBSONDocument(bytes(document.raw)) for document in documents]
    result = {repr(document["_id"]).encode(): bytes(document.raw) for document in found}
    assert len(result) == len(found)
    return result
