"""How long a change takes to the page: ``python -m benchmarks.freshness --server secantusd-rs``.

Ten million charges of thirteen months are segments (see ``benchmarks.large``; ``--keep`` keeps them
for the next run). The documents of the latest month are in a source cluster, for no others are read
here, and are replicated to a second one. Everything is as in production: ``replicate``, a Celery
worker with beat and a broker, segments in storage. Then 1,000 rows are changed at the source by one
bulk write, again and again: rows of the latest charge day, of the latest three, and of the month,
which is then built again as a whole. What is timed is from the write's answer until the overview
says the new total, exact to the last digit. Beside it stands what a bare loop takes to read the
days' documents from the copy and to decode them, which no rebuilding of days can do without.
"""

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from importlib.metadata import version
from pathlib import Path
from re import search
from typing import Any

import django
from bson.decimal128 import Decimal128
from django.core.management import call_command
from pymongo import MongoClient, UpdateOne
from pymongo.collection import Collection

from tests import environment  # noqa: F401 - what the settings read: a folder and database of its own
from tests.conftest import free_port
from tests.waiting import wait_until

DATASET = "large"
CHANGED = 1_000  # rows
LIMIT = 3.0  # seconds
EXACT = Context(prec=60)
Rows = Collection[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--server", type=Path, help="a program to start both clusters with")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="a folder for the data set, used again")
    options = parser.parse_args()
    with ExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="finops-benchmark-"))
        folder = (options.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "finops.settings",
            "LOG_LEVEL": "ERROR",
            "VAR_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{folder}/finops.sqlite3",
            "REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "SEGMENT_TAG_COLUMNS": "team",
        }
        django.setup()
        call_command("migrate", verbosity=0)
        _broker(stack, port)
        _measure(stack, options.server, options.rows, options.rounds)


def _measure(stack: ExitStack, program: Path | None, rows: int, rounds: int) -> None:
    from django.test import Client

    from accounts.levels import PermissionLevel
    from benchmarks.large import build
    from benchmarks.snapshot import server
    from finops.models import Dataset
    from tests.finops.people import sign_in

    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"{program.name if program else 'the embedded server'}, duckdb {version('duckdb')}\n")
    dataset = Dataset.objects.filter(name=DATASET).first() or build(DATASET, rows=rows)
    last = dataset.segments.order_by("-day").values_list("day", flat=True)[0]
    month = last.replace(day=1)
    source, copy = (stack.enter_context(server(program)) for _ in range(2))
    with MongoClient[dict[str, Any]](source) as one, MongoClient[dict[str, Any]](copy) as other:
        documents = one["billing"]["focus"]
        started = time.perf_counter()
        for batch in _documents(month):
            documents.insert_many(batch, ordered=False)
        number = documents.estimated_document_count()
        print(f"{number:,} documents of {month:%B %Y} written in {_since(started):.0f} s")
        page = Page(sign_in(Client(SERVER_NAME="localhost"), PermissionLevel.ANALYST))
        before = page.total()
        _declare(source, copy)
        started = time.perf_counter()
        for command in _processes():
            stack.enter_context(_running(command))
        wait_until(_settled, timeout=900, what="the month is copied and built")
        print(f"copied, and the month's segments built, in {_since(started):.0f} s")
        if page.total() != before:
            sys.exit("The month's documents do not add up to its segments.")
        chance = random.Random(7)
        for days in (1, 3, (last - month).days + 1):
            first = last - timedelta(days=days - 1)
            # A whole month takes half a minute.
            times = min(rounds, 3) if days > 3 else rounds
            _show(days, page, documents, other["reporting"]["focus"], first, times, chance)


class Page:
    """The overview, as one reader has it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def total(self) -> Decimal:
        """The billed cost of the latest month that it shows."""
        found = search(r'<data value="([^"]+)"', self._client.get("/?metric=billed").text)
        assert found is not None
        return Decimal(found[1])


def _show(
    days: int,
    page: Page,
    documents: Rows,
    copy: Rows,
    first: date,
    rounds: int,
    chance: random.Random,
) -> None:
    since = {"ChargePeriodStart": {"$gte": datetime.combine(first, datetime.min.time())}}
    there = [one["_id"] for one in documents.find(since, {"_id": 1})]
    taken, bare = [], []
    for _ in range(rounds):
        expected = _change(documents, chance.sample(there, CHANGED), page.total())
        started = time.perf_counter()
        wait_until(
            lambda expected=expected: page.total() == expected,  # type: ignore[misc]
            timeout=300,
            what="the page has the changed rows",
        )
        taken.append(_since(started))
        started = time.perf_counter()
        sum(1 for _ in copy.find(since, batch_size=5_000))
        bare.append(_since(started))
    median, worst = statistics.median(taken), max(taken)
    verdict = ("" if days > 1 else "   ok  " if worst < LIMIT else "   MISS") + (
        f" (limit {LIMIT:g})" if days == 1 else ""
    )
    print(
        f"{CHANGED:,} rows of {days:2} day{'s' if days > 1 else ' '} ({len(there):>7,} documents):"
        f" on the page after {median:6.2f} s, worst {worst:6.2f}{verdict}"
    )
    print(
        f"{'':42} reading those documents alone {statistics.median(bare):6.2f} s:"
        f" {median / statistics.median(bare):.2f} times that"
    )


def _change(documents: Rows, ids: Sequence[str], total: Decimal) -> Decimal:
    """Add a little to each row's cost; returns what the page has to say then."""
    updates = []
    for row in documents.find({"_id": {"$in": list(ids)}}, {"BilledCost": 1}):
        more = Decimal("0.01")
        cost = EXACT.add(row["BilledCost"].to_decimal(), more)
        total = EXACT.add(total, more)
        updates.append(UpdateOne({"_id": row["_id"]}, {"$set": {"BilledCost": Decimal128(cost)}}))
    documents.bulk_write(updates, ordered=False)
    return total


def _documents(month: date) -> Iterator[list[dict[str, Any]]]:
    """What the month's segments were made from."""
    import pyarrow.parquet as pq

    from finops.models import Dataset
    from finops.segments.schema import COLUMNS
    from finops.segments.store import SegmentStore

    names = {column.name: column.focus for column in COLUMNS}
    dataset = Dataset.objects.get(name=DATASET)
    files = set(
        dataset.segments.filter(day__gte=month, rows__gt=0).values_list("rows_file", flat=True)
    )
    for path in SegmentStore().read(sorted(files)):
        for batch in pq.ParquetFile(path).iter_batches(5_000):
            columns = {
                names[name]: _values(batch.column(name))
                for name in batch.schema.names
                if name in names and batch.column(name).null_count < len(batch)
            }
            columns["_id"] = batch.column("document_id").to_pylist()
            columns["Tags"] = [dict(tags) for tags in batch.column("tags").to_pylist()]
            yield [
                dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
            ]


def _values(column: Any) -> list[Any]:
    found = column.to_pylist()
    if isinstance(next(one for one in found if one is not None), Decimal):
        return [None if one is None else Decimal128(one) for one in found]
    return list(found)


def _declare(source: str, copy: str) -> None:
    from replication.models import Connection, Flow

    sides = []
    for name, uri in (("source", source), ("destination", copy)):
        row = Connection.objects.filter(name=name).first() or Connection(name=name)
        row.uri, row.auth_method = uri, "connection_string"
        row.save()
        sides.append(row)
    Flow.objects.filter(name=DATASET).delete()  # of an earlier run: its copy is gone
    Flow.objects.create(
        name=DATASET,
        source=sides[0],
        source_database="billing",
        collection="focus",
        destination=sides[1],
        destination_database="reporting",
        destination_collection="focus",
        partition_fields=["ChargePeriodStart"],
    )


def _settled() -> bool:
    """Whether the flow streams, and no touched day waits."""
    from replication.status import FlowState, flow_status, touched_partitions

    return flow_status(DATASET).state is FlowState.STREAMING and not touched_partitions(
        DATASET, limit=1
    )


def _processes() -> list[list[str]]:
    celery = [sys.executable, "-m", "celery", "-A", "finops", "--quiet"]
    worker = ["worker", "-Q", "segments", "-c", "2", "--without-mingle", "--without-gossip"]
    return [
        [sys.executable, "manage.py", "replicate", DATASET],
        [*celery, *worker, "--loglevel", "ERROR", "--metrics-port", "0"],
        [*celery, "beat", "--loglevel", "ERROR", "--pidfile="],
    ]


def _broker(stack: ExitStack, port: int) -> None:
    from sandbox.layout import redis_binary

    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    stack.enter_context(_running([redis_binary(), *options]))


@contextmanager
def _running(command: list[str]) -> Iterator[None]:
    """A process that is gone afterwards."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _since(started: float) -> float:
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
