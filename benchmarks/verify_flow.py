"""How fast two sides are compared: ``python -m benchmarks.verify_flow`` (about 40 s).

Against a bare loop that reads both sides as raw documents, sorted by ``_id``, and compares their
bytes; they take turns on the same server, best wall time of each counts, and the processor's time
beside it. ``--uri`` names another server than an embedded one of its own.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pymongo import MongoClient

from replication.mongo import Client, Document
from replication.spec import Namespace, StreamSpec
from replication.streams import raw_collection
from replication.verification import Verifier
from sandbox.mongod import answers_ping, secantusd_command
from tests.conftest import free_port
from tests.waiting import wait_until

ROUNDS = 3


@contextmanager
def server() -> Iterator[str]:
    """An embedded server that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        process = subprocess.Popen(
            secantusd_command(port=port, storage=Path(folder) / "data"),
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


def fill(client: Client, spec: StreamSpec, rows: int) -> None:
    for start in range(0, rows, 5_000):
        documents = [
            {"_id": n, "ServiceName": f"Service {n % 40}", "Cost": n / 7, "Text": "x" * 200}
            for n in range(start, min(rows, start + 5_000))
        ]
        for side in (spec.source, spec.destination):
            client[side.database][side.collection].insert_many(documents)


def bare(client: Client, spec: StreamSpec) -> int:
    sides = [
        raw_collection(client, side).find({}, batch_size=1_000).sort("_id", 1)
        for side in (spec.source, spec.destination)
    ]
    rows = 0
    for left, right in zip(*sides, strict=True):
        assert left.raw == right.raw
        rows += 1
    return rows


def verify(client: Client, spec: StreamSpec) -> int:
    result = Verifier(spec, client, client).verify_all()
    assert not result.differences
    return result.source.count


def measure(uri: str, rows: int) -> None:
    database = f"bench-{uuid4().hex[:8]}"
    spec = StreamSpec(
        uuid4(), "bench", Namespace("s", database, "a"), Namespace("d", database, "b")
    )
    steps: dict[str, Callable[[Client, StreamSpec], int]] = {"bare loop": bare, "verify": verify}
    best = dict.fromkeys(steps, (float("inf"), float("inf")))
    with MongoClient[Document](uri) as client:
        fill(client, spec, rows)
        for _ in range(ROUNDS):
            for name, step in steps.items():
                wall, processor = time.perf_counter(), time.process_time()
                assert step(client, spec) == rows
                took = time.perf_counter() - wall, time.process_time() - processor
                best[name] = min(best[name][0], took[0]), min(best[name][1], took[1])
        client.drop_database(database)
    for name, (wall, processor) in best.items():
        print(
            f"{name:<10}{rows / wall:>12,.0f} documents/s{rows / processor:>12,.0f} documents per"
            " CPU-second"
        )
    walls, processors = zip(*(best[name] for name in ("bare loop", "verify")), strict=True)
    print(f"verify / bare loop: {walls[0] / walls[1]:.2f} by the clock,", end=" ")
    print(f"{processors[0] / processors[1]:.2f} by the processor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--uri", help="a MongoDB to measure with; a database is made and dropped")
    options = parser.parse_args()
    if options.uri:
        measure(options.uri, options.rows)
        return
    with server() as uri:
        measure(uri, options.rows)


if __name__ == "__main__":
    main()
