"""How fast changes are replicated, and in how much memory: ``python -m benchmarks.replication``.

Against a server that does nothing (``benchmarks.null_server``) the client's own ceiling shows: a
whole slice of a stream, with its lease and transactions, takes turns with a bare pymongo loop that
decodes, calls ``bulk_write`` and saves the token for each batch. Medians count; the processor's
time is that of the client alone. Then each write takes 100 ms, and then a million changes wait,
and documents of a megabyte.

``--server PATH`` also measures end to end, between two servers of that program, with transactions
on both sides of the comparison; ``--uri URI`` does so within a server that runs already. Databases
that it makes there are dropped again. ``--peer FOLDER`` adds the npm package mongo2mongo.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import pymongo
from bson.json_util import dumps
from pymongo import MongoClient, UpdateOne

from benchmarks.encoded_changes import document
from benchmarks.replication_client import Figures, spec_of
from replication.position import Phase
from sandbox.mongod import answers_ping
from tests.conftest import free_port
from tests.waiting import wait_until

ROUNDS = 3
PEER = "mongo2mongo 0.40 (npm), without transactions"
EVENTS = 200_000
_MEGABYTE = 1024 * 1024
_CLIENT = (sys.executable, "-m", "benchmarks.replication_client")


def client(kind: str, source: str, copy: str, *options: str) -> Figures:
    """Run one client and return its figures; none of interest for ``prepare``."""
    command = [*_CLIENT, kind, "--source", source, "--copy", copy, *options]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return Figures(**json.loads(output)) if output else Figures(0, 1, 1, 0)


@contextmanager
def null_server(events: int, **options: float) -> Iterator[str]:
    """A null server for one run, whose stream and lease exist already."""
    spec, port = spec_of(""), free_port()
    position = {
        "_id": spec.key,
        "epoch": 1,
        "batch": 0,
        "phase": Phase.STREAM.value,
        "token": {"_data": "82"},
        "scope_hash": spec.scope_hash,
        "consistent_since": datetime(2026, 1, 1, tzinfo=UTC),
    }
    lease = {"_id": spec.key, "number": 1, "sessions": []}
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers.json"
        answers.write_text(dumps({"positions": position, "leases": lease}))
        command = [sys.executable, "-m", "benchmarks.null_server", "--port", str(port)]
        command += ["--events", str(events), "--answers", str(answers)]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        with running(command) as process:
            assert process.stdout is not None
            process.stdout.readline()
            yield f"mongodb://127.0.0.1:{port}/?directConnection=true"


@contextmanager
def running(command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is gone afterwards."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def on_null_server(kind: str, events: int, **options: float) -> Figures:
    """Run one client against a null server of its own, and see that it wrote all of it."""
    with null_server(events, **options) as uri:
        figures = client(kind, uri, uri, "--events", str(events))
        with MongoClient[dict[str, Any]](uri) as server:
            written = (server["replication"]["positions"].find_one() or {})["written"]
    # A batch holds each document once: some updates are in one with their inserts.
    if written < 0.6 * events * options.get("size", 300):
        raise SystemExit(f"{kind}: only {written:,} bytes were written")
    return figures


def ceiling() -> None:
    """Compare the product's and the bare loop's own speed."""
    product, bare = [], []
    for _ in range(ROUNDS):
        product.append(on_null_server("product", EVENTS))
        bare.append(on_null_server("bare", EVENTS))
    rate = median(run.per_second for run in product)
    processor = median(run.processor_per_100k for run in product)
    ratio = median(run.per_processor_second for run in product) / median(
        run.per_processor_second for run in bare
    )
    print(f"null server, {EVENTS:,} changes of 300-byte documents, {ROUNDS} rounds")
    for name, runs in (("product", product), ("bare loop", bare)):
        show(name, runs)
    goal("events/s", rate, at_least=40_000)
    goal("processor s per 100,000 events", processor, at_most=2.0)
    goal("events per processor second, of the bare loop's", ratio, at_least=1.2)


def slow_writes() -> None:
    """Let each write take 100 ms."""
    runs = [on_null_server("product", 100_000, latency=0.1) for _ in range(ROUNDS)]
    print("null server, 100 ms for every write and commit")
    show("product", runs)
    goal("events/s", median(run.per_second for run in runs), at_least=10_000)


def memory() -> None:
    """Let a million changes wait, and then large documents."""
    print("peak memory of the client's process, its libraries included")
    backlog = on_null_server("product", 1_000_000, latency=0.02, behind=100_000)
    goal("MB, a million changes behind", backlog.memory / _MEGABYTE, at_most=300)
    large = on_null_server("product", 5_000, size=1_000_000)
    goal("MB, 5,000 documents of 1 MB", large.memory / _MEGABYTE, at_most=300)


def fill(uri: str, run: str, events: int) -> None:
    """Make changes: seven in ten insert a document, the others change one."""
    with MongoClient[dict[str, Any]](uri) as source:
        rows = source[spec_of(run).source.database]["rows"]
        for start in range(0, events, 1_000):
            numbers = range(start, min(start + 1_000, events))
            new = [document(number, 300) for number in numbers if number % 10 >= 3]
            rows.insert_many(new)
            changed = [number for number in numbers if number % 10 < 3]
            updates = [
                UpdateOne({"_id": new[place]["_id"]}, {"$set": {"Quantity": number}})
                for place, number in enumerate(changed)
            ]
            rows.bulk_write(updates, ordered=False)


def peer(modules: Path, source: str, copy: str, run: str, events: int) -> Figures:
    """Let the npm package mongo2mongo follow the same changes, without transactions."""
    spec = spec_of(run)
    with MongoClient[dict[str, Any]](copy) as positions:
        position = positions["replication"]["positions"].find_one({"_id": spec.key}) or {}
    script = Path(__file__).parent / "peers" / "mongo2mongo.mjs"
    command = ["node", str(script), str(modules), source, spec.source.database]
    command += [copy, spec.destination.database, spec.source.collection, str(events)]
    command.append(json.dumps(position["token"]))
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=300).stdout
    return Figures(**json.loads(output))


def end_to_end(source: str, copy: str, events: int, modules: Path | None) -> None:
    """Compare the product, a bare loop, both in transactions, and a peer between real servers."""
    fields = ("--partition-fields", "ChargePeriodStart,ServiceName")
    kinds: dict[str, tuple[str, ...]] = {
        "product": ("product",),
        "product with partition_fields": ("product", *fields),
        "bare loop in transactions": ("bare", "--transactions"),
    }
    runs: dict[str, list[Figures]] = {name: [] for name in kinds}
    if modules is not None:
        runs[PEER] = []
    for _ in range(ROUNDS):
        for name, (kind, *options) in kinds.items():
            run = uuid4().hex[:8]
            client("prepare", source, copy, "--run", run)
            fill(source, run, events)
            size = ("--run", run, "--events", str(events))
            runs[name].append(client(kind, source, copy, *size, *options))
            drop(source, copy, run)
        if modules is not None:
            run = uuid4().hex[:8]
            client("prepare", source, copy, "--run", run)
            fill(source, run, events)
            runs[PEER].append(peer(modules, source, copy, run, events))
            drop(source, copy, run)
    print(f"end to end, {events:,} changes of 300-byte documents, {ROUNDS} rounds")
    rates = {}
    for name, each in runs.items():
        show(name, each)
        rates[name] = median(run.per_second for run in each)
    bare = rates["bare loop in transactions"]
    goal("events/s, of the bare loop's", rates["product"] / bare, at_least=0.9)
    with_fields = rates["product with partition_fields"] / bare
    print(f"  {with_fields:10.2f} of the bare loop's events/s with partition_fields")


def drop(source: str, copy: str, run: str) -> None:
    """Remove the databases of a run, and what the control database holds of the flow."""
    spec = spec_of(run)
    with MongoClient[dict[str, Any]](source) as one, MongoClient[dict[str, Any]](copy) as other:
        one.drop_database(spec.source.database)
        other.drop_database(spec.destination.database)
        for name in ("positions", "leases", "marks", "parts", "claims", "dead_letters"):
            other["replication"][name].delete_many({})


def show(name: str, runs: list[Figures]) -> None:
    """Print the medians of some runs."""
    print(
        f"  {median(run.per_second for run in runs):10,.0f} events/s"
        f" {median(run.per_processor_second for run in runs):10,.0f} per processor second"
        f" {median(run.processor_per_100k for run in runs):6.2f} processor s per 100,000"
        f"   {name}"
    )


def goal(
    name: str, value: float, *, at_least: float | None = None, at_most: float | None = None
) -> None:
    """Print a figure beside what it should be."""
    met = value >= at_least if at_least is not None else value <= (at_most or 0)
    wanted = f"at least {at_least:,}" if at_least is not None else f"at most {at_most:,}"
    print(f"  {value:10,.2f} {name} ({wanted}: {'met' if met else 'NOT MET'})")


@contextmanager
def servers(program: Path) -> Iterator[tuple[str, str]]:
    """Two servers of a program that takes ``--port`` and ``--storage-path``."""
    with ExitStack() as stack:
        uris = []
        for _ in range(2):
            folder, port = stack.enter_context(tempfile.TemporaryDirectory()), free_port()
            command = [str(program), "--port", str(port), "--storage-path", f"{folder}/data"]
            stack.enter_context(running([*command, "--log-level", "ERROR"]))
            wait_until(lambda port=port: answers_ping(port), timeout=30, what="the server answers")  # type: ignore[misc]
            uris.append(f"mongodb://127.0.0.1:{port}/?directConnection=true")
        yield uris[0], uris[1]


def main() -> None:
    """Measure what the arguments say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--uri", help="a server for both sides, end to end")
    parser.add_argument("--server", type=Path, help="a program to start two servers of")
    parser.add_argument("--events", type=int, default=50_000, help="end to end")
    parser.add_argument(
        "--peer", type=Path, help="node_modules' folder for mongo2mongo (see benchmarks/peers)"
    )
    parts: dict[str, Callable[[], None]] = {
        "ceiling": ceiling,
        "slow-writes": slow_writes,
        "memory": memory,
    }
    parser.add_argument("--only", choices=[*parts, "end-to-end"], help="one part alone")
    chosen = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f},"
        f" Python {platform.python_version()}, pymongo {pymongo.version}"
    )
    for name, part in parts.items():
        if chosen.only in (None, name):
            part()
    if chosen.only in (None, "end-to-end"):
        if chosen.uri:
            end_to_end(chosen.uri, chosen.uri, chosen.events, chosen.peer)
        elif chosen.server:
            with servers(chosen.server) as (source, copy):
                end_to_end(source, copy, chosen.events, chosen.peer)


if __name__ == "__main__":
    main()
