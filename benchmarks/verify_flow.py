"""How fast two sides are compared: ``python -m benchmarks.verify_flow`` (about 40 s).

Against a bare loop that reads both sides as raw documents, sorted by ``_id``, and compares their
bytes; they take turns on the same server, best wall time of each counts, and the processor's time
beside it. ``--uri`` names another server than an embedded one of its own, ``--server`` a program
of one. ``--planted`` instead lets a flow copy the rows, changes one byte of the copy, removes one
document and adds another one, and lets verification find and repair these.
"""

import argparse
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from pymongo import MongoClient

from benchmarks.snapshot import fill, server, snapshot
from replication.mongo import Client, Document
from replication.spec import Namespace, StreamSpec
from replication.streams import raw_collection
from replication.verification import Verifier

ROUNDS = 3


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
        fill(client, spec.source, rows)
        fill(client, spec.destination, rows)
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


def planted(client: Client, rows: int) -> None:
    database = f"bench-{uuid4().hex[:8]}"
    spec = StreamSpec(
        uuid4(), "bench", Namespace("s", database, "a"), Namespace("d", f"{database}-copy", "a")
    )
    fill(client, spec.source, rows)
    snapshot(client, spec)
    copy = client[spec.destination.database][spec.destination.collection]
    copy.update_one({"_id": rows // 2}, {"$set": {"Text": "x" * 199 + "y"}})
    copy.delete_one({"_id": rows // 3})
    copy.insert_one({"_id": -1})
    for title, repair in (("found", False), ("repaired", True), ("afterwards", False)):
        result = Verifier(spec, client, client, repair=repair).verify_all()
        counts = {kind.value: count for kind, count in sorted(result.counts.items())}
        print(
            f"{title}: {counts or 'no differences'} among {result.source.count:,} documents in"
            f" {result.seconds:.1f} s; {result.ranges_looked_into} of {result.ranges:,} ranges were"
            f" looked into, {result.repaired} documents repaired"
        )
        if title != "afterwards":
            assert counts == {"changed": 1, "extra": 1, "missing": 1}, counts
    assert not result.differences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--uri", help="a MongoDB to measure with; a database is made and dropped")
    parser.add_argument("--server", type=Path, help="the program of a faster server, secantusd-rs")
    parser.add_argument("--planted", action="store_true", help="find and repair differences")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        uri = options.uri or stack.enter_context(server(options.server))
        if options.planted:
            planted(stack.enter_context(MongoClient[Document](uri)), options.rows)
        else:
            measure(uri, options.rows)


if __name__ == "__main__":
    main()
