"""How fast a snapshot copies: ``python -m benchmarks.snapshot`` (about a minute).

Against a bare loop of ``find`` and unordered ``insert_many``, which takes turns with it on the
same server. Medians of the wall time and of this process's own processor time count. ``--uri``
names a server to measure with, ``--server`` the program of one (``secantusd-rs``) to start.
``--kill`` instead copies once, by workers that are killed so many times on the way.
"""

import argparse
import contextlib
import logging
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pymongo
import structlog
from pymongo import MongoClient

from replication.mongo import Client, Document
from replication.parts import Parts
from replication.position import MongoTracker, Phase, control_database
from replication.spec import Namespace, StreamSpec
from replication.verification import Verifier
from replication.worker import Clients, Timing, run_slice
from sandbox.mongod import OPLOG_MAX_ENTRIES, answers_ping, secantusd_command
from tests.conftest import free_port
from tests.waiting import wait_until

DOCUMENTS_PER_INSERT = 1_000
BARE, OURS = "bare loop", "ours"


@dataclass
class Times:
    """Seconds that a step took in each round."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


@contextmanager
def server(program: Path | None) -> Iterator[str]:
    """A server that is gone afterwards: the embedded one, or a faster one of the same make."""
    with tempfile.TemporaryDirectory() as folder:
        port, storage = free_port(), Path(folder) / "data"
        command = secantusd_command(port=port, storage=storage)
        if program is not None:
            command = [str(program), "--port", str(port), "--storage-path", str(storage)]
            command += ["--cache-size", "1G", "--log-level", "WARNING"]
            command += ["--oplog-max-entries", str(OPLOG_MAX_ENTRIES)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: answers_ping(port), timeout=30, what="the server answers")
            yield f"mongodb://127.0.0.1:{port}/?directConnection=true"
        finally:
            process.kill()
            process.wait()


def fill(client: Client, side: Namespace, rows: int) -> None:
    collection = client[side.database][side.collection]
    for start in range(0, rows, 5_000):
        collection.insert_many(
            [
                {"_id": n, "ServiceName": f"Service {n % 40}", "Cost": n / 7, "Text": "x" * 200}
                for n in range(start, min(rows, start + 5_000))
            ],
            ordered=False,
        )


def bare(client: Client, spec: StreamSpec) -> None:
    copy = client[spec.destination.database][spec.destination.collection]
    documents: list[Document] = []
    for document in client[spec.source.database][spec.source.collection].find():
        documents.append(document)
        if len(documents) == DOCUMENTS_PER_INSERT:
            copy.insert_many(documents, ordered=False)
            documents = []
    if documents:
        copy.insert_many(documents, ordered=False)


def snapshot(client: Client, spec: StreamSpec) -> None:
    tracker = MongoTracker(control_database(client))

    def unfinished() -> bool:
        position = tracker.load(spec.key)
        return position is None or position.phase is not Phase.STREAM

    clients = Clients(get=lambda _name, _purpose: client, replace=lambda _name: None)
    result = run_slice(spec, clients, Timing(lease=timedelta(seconds=8)), wanted=unfinished)
    assert not unfinished(), result


def measure(client: Client, rows: int, rounds: int, *, tidy: bool) -> dict[str, Times]:
    """Let both copy the same documents in turns.

    ``tidy`` drops them afterwards, which takes the embedded server longer than all the rest.
    """
    database = f"bench-{uuid4().hex[:8]}"
    spec = StreamSpec(uuid4(), "bench", Namespace("s", database, "a"), Namespace("d", "", "a"))
    marked = replace(spec, partition_fields=("ServiceName",))
    steps: dict[str, tuple[Callable[[Client, StreamSpec], None], StreamSpec]] = {
        BARE: (bare, spec),
        OURS: (snapshot, spec),
        "with partition_fields": (snapshot, marked),
    }
    times = {name: Times() for name in steps}
    fill(client, spec.source, rows)
    for number in range(rounds):
        for name, (step, described) in steps.items():
            place = f"{database}-{number}-{name[:4]}"
            one = replace(described, flow_id=uuid4(), destination=Namespace("d", place, "a"))
            wall, processor = time.perf_counter(), time.process_time()
            step(client, one)
            times[name].wall.append(time.perf_counter() - wall)
            times[name].processor.append(time.process_time() - processor)
            assert client[place]["a"].estimated_document_count() == rows
            if tidy:
                client.drop_database(place)
    if tidy:
        client.drop_database(database)
    return times


def killed_on_the_way(uri: str, client: Client, rows: int, kills: int) -> None:
    """Copy by workers that get SIGKILL, each when the copy has grown by its share."""
    database = f"bench-{uuid4().hex[:8]}"
    spec = StreamSpec(
        uuid4(), "bench", Namespace("s", database, "a"), Namespace("d", f"{database}-copy", "a")
    )
    fill(client, spec.source, rows)
    parts, tracker = Parts(control_database(client)), MongoTracker(control_database(client))
    began = time.perf_counter()
    for kill in range(1, kills + 1):
        with worker(uri, spec) as process:
            while sum(part.copied for part in parts.of(spec.key)) < rows * kill / (kills + 1):
                assert process.poll() is None, "the worker ended"
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
        left = sum(part.copied for part in parts.of(spec.key))
        print(f"killed at {time.perf_counter() - began:6.1f} s: {left:,} documents are committed")
    with worker(uri, spec):
        wait_until(
            lambda: (found := tracker.load(spec.key)) and found.phase is Phase.STREAM,
            timeout=rows / 500,
            what="the snapshot ends",
        )
    position = tracker.load(spec.key)
    assert position is not None
    print(
        f"ended  at {time.perf_counter() - began:6.1f} s: {position.snapshot_copied:,} of {rows:,}"
        f" documents were copied, each once, by {position.epoch} workers"
    )
    result = Verifier(spec, client, client).verify_all()
    print(f"verification: {result.source.count:,} documents, {result.differences} differences")
    assert (position.snapshot_copied, result.source.count, result.differences) == (rows, rows, 0)


@contextmanager
def worker(uri: str, spec: StreamSpec) -> Iterator[subprocess.Popen[bytes]]:
    """A process that works on the stream until it is killed."""
    names = (spec.source.database, spec.destination.database)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.snapshot", "--work", uri, str(spec.flow_id), *names]
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def work(uri: str, flow_id: str, source: str, destination: str) -> None:
    spec = StreamSpec(
        UUID(flow_id), "bench", Namespace("s", source, "a"), Namespace("d", destination, "a")
    )
    with MongoClient[Document](uri) as client:
        clients = Clients(get=lambda _name, _purpose: client, replace=lambda _name: None)
        while True:
            run_slice(spec, clients, Timing(lease=timedelta(seconds=2)), wanted=lambda: True)
            time.sleep(0.1)


def report(client: Client, rows: int, times: dict[str, Times]) -> None:
    print(
        f"{rows:,} documents, Python {platform.python_version()}, pymongo {pymongo.version}, server"
        f" {client.server_info()['version']}, {os.cpu_count()} processors ({platform.machine()}),"
        f" load {os.getloadavg()[0]:.1f}"
    )
    medians = {
        name: (statistics.median(each.wall), statistics.median(each.processor))
        for name, each in times.items()
    }
    for name, (wall, processor) in medians.items():
        print(
            f"{name:<22}{rows / wall:>10,.0f} documents/s{rows / processor:>12,.0f} documents per"
            " CPU-second"
        )
    walls, processors = zip(medians[BARE], medians[OURS], strict=True)
    print(f"ours / bare loop: {walls[0] / walls[1]:.2f} by the clock,", end=" ")
    print(f"{processors[0] / processors[1]:.2f} by the processor (at least 0.90)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--uri", help="a MongoDB to measure with; databases are made and dropped")
    parser.add_argument("--server", type=Path, help="the program of a faster server, secantusd-rs")
    parser.add_argument("--kill", type=int, default=0, help="how many workers to kill")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if options.work:
        work(*options.work)
    with contextlib.ExitStack() as stack:
        uri = options.uri or stack.enter_context(server(options.server))
        client = stack.enter_context(MongoClient[Document](uri))
        if options.kill:
            killed_on_the_way(uri, client, options.rows, options.kill)
        else:
            tidy = options.uri is not None
            times = measure(client, options.rows, options.rounds, tidy=tidy)
            report(client, options.rows, times)


if __name__ == "__main__":
    main()
