"""One run of a benchmark of replication in a process of its own, whose figures are printed as JSON.

``benchmarks.replication`` starts these: the product's whole path, a slice of a stream, or the bare
loop that anybody would write first. Both go on until the position holds the events that were asked
for.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from pymongo import DeleteOne, MongoClient, ReplaceOne, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from replication.mongo import Client, Document, Purpose
from replication.position import MongoTracker, Phase, control_database
from replication.spec import Namespace, StreamSpec
from replication.worker import Clients, Outcome, Timing, run_slice

FLOW = UUID("b6b31ad4-9fb0-4ad8-8f0a-5e5a3a9f0001")
_LOOK = 0.05  # seconds between looks at the position
_BATCH = 1_000  # of the bare loop

Operation = ReplaceOne[Document] | DeleteOne


@dataclass(frozen=True)
class Figures:
    """What one run came to. Times are in seconds; ``memory`` is the peak in bytes."""

    events: int
    seconds: float
    processor: float
    memory: int

    @property
    def per_second(self) -> float:
        """Events per second of the clock."""
        return self.events / self.seconds

    @property
    def per_processor_second(self) -> float:
        """Events per second of processor time."""
        return self.events / self.processor

    @property
    def processor_per_100k(self) -> float:
        """Seconds of processor time per 100,000 events."""
        return 100_000 * self.processor / self.events


def spec_of(run: str, partition_fields: tuple[str, ...] = ()) -> StreamSpec:
    """The stream of a run, whose databases bear its name."""
    return StreamSpec(
        FLOW,
        "benchmark",
        Namespace("source", f"source{run}", "rows"),
        Namespace("destination", f"copy{run}", "rows"),
        partition_fields=partition_fields,
    )


def new_client(uri: str) -> Client:
    """A client as the product's own ones are."""
    return MongoClient[Document](uri, serverMonitoringMode="poll", socketTimeoutMS=60_000)


def run_product(source: Client, copy: Client, spec: StreamSpec, done: Callable[[], bool]) -> None:
    """Run a slice of the stream until ``done``."""

    def get(connection: str, _purpose: Purpose) -> Client:
        return source if connection == "source" else copy

    clients = Clients(get=get, replace=lambda _connection: None)
    timing = Timing(lease=timedelta(seconds=60))
    result = run_slice(spec, clients, timing, wanted=lambda: not done())
    if result.outcome is not Outcome.HANDED_OVER:
        raise SystemExit(f"the slice ended: {result}")


def run_bare(
    source: Client, copy: Client, spec: StreamSpec, events: int, *, transactions: bool
) -> None:
    """Watch, decode, write with ``bulk_write`` and save the token, batch after batch."""
    rows = source[spec.source.database][spec.source.collection]
    target = copy[spec.destination.database][spec.destination.collection]
    positions = control_database(copy)["positions"]
    position = positions.find_one({"_id": spec.key}) or {}
    applied = 0
    stream = rows.watch(
        full_document="updateLookup",
        start_after=position["token"],
        batch_size=_BATCH,
        max_await_time_ms=250,
    )
    with stream, copy.start_session() as session:
        while applied < events:
            last: dict[Any, Operation] = {}
            count = 0
            while count < _BATCH and (change := stream.try_next()) is not None:
                count += 1
                key = change["documentKey"]
                if change["operationType"] == "delete":
                    last[key["_id"]] = DeleteOne(key)
                elif change["fullDocument"] is not None:
                    last[key["_id"]] = ReplaceOne(key, change["fullDocument"], upsert=True)
            if not count:
                continue
            applied += count
            token = {"token": stream.resume_token, "events": applied}

            commit = partial(write_bare, target, positions, spec.key, list(last.values()), token)
            if transactions:
                session.with_transaction(commit, write_concern=WriteConcern("majority"))
            else:
                commit(None)


def write_bare(
    target: Collection[Document],
    positions: Collection[Document],
    key: str,
    operations: list[Operation],
    fields: Document,
    session: ClientSession | None,
) -> None:
    """Write a batch, then what the position says after it."""
    target.bulk_write(operations, ordered=False, session=session)
    positions.update_one({"_id": key}, {"$set": fields}, session=session)


def measured(work: Callable[[], None], events: int) -> Figures:
    """Do ``work`` and say what it took of this process."""
    before, began = time.process_time(), time.monotonic()
    work()
    seconds, processor = time.monotonic() - began, time.process_time() - before
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Figures(events, seconds, processor, memory)


def until_applied(copy: Client, spec: StreamSpec, events: int) -> Callable[[], bool]:
    """Return what tells whether the position holds ``events``, looking now and then."""
    tracker = MongoTracker(control_database(copy))
    looked_at = 0.0

    def done() -> bool:
        nonlocal looked_at
        now = time.monotonic()
        if now - looked_at < _LOOK:
            return False
        looked_at = now
        position = tracker.load(spec.key)
        return position is not None and position.events >= events

    return done


def prepare(source: Client, copy: Client, spec: StreamSpec) -> None:
    """Let the stream have its first, empty snapshot, so that it goes on from here."""
    tracker = MongoTracker(control_database(copy))

    def streaming() -> bool:
        position = tracker.load(spec.key)
        return position is not None and position.phase is Phase.STREAM

    run_product(source, copy, spec, streaming)


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["prepare", "product", "bare"])
    parser.add_argument("--source", required=True)
    parser.add_argument("--copy", required=True)
    parser.add_argument("--run", default="")
    parser.add_argument("--events", type=int, default=0)
    parser.add_argument("--partition-fields", default="")
    parser.add_argument("--transactions", action="store_true")
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    fields = tuple(name for name in chosen.partition_fields.split(",") if name)
    spec = spec_of(chosen.run, fields)
    with new_client(chosen.source) as source, new_client(chosen.copy) as copy:
        if chosen.kind == "prepare":
            prepare(source, copy, spec)
            return
        if chosen.kind == "product":
            done = until_applied(copy, spec, chosen.events)
            figures = measured(lambda: run_product(source, copy, spec, done), chosen.events)
        else:
            figures = measured(
                lambda: run_bare(
                    source, copy, spec, chosen.events, transactions=chosen.transactions
                ),
                chosen.events,
            )
        print(json.dumps(asdict(figures)))


if __name__ == "__main__":
    main()
