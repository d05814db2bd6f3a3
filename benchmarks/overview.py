"""What the overview costs: ``python -m benchmarks.overview [--days 400] [--rows 50000]``.

Generated charges are built into segments by the product's own builder, once a month at a time (a
first load) and once a day at a time (what 400 single days of changes leave behind, the worst case).
Then the overview is read anew for each round, as after a new version, in turns with the same
grouping by a bare DuckDB over one Parquet file that holds the same roll-up. Medians are printed.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import django
from django.core.management import call_command

_folder = tempfile.TemporaryDirectory(prefix="finops-benchmark-")
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "finops.settings",
    "FINOPS_ENV": "development",
    "VAR_DIR": _folder.name,
    "DATABASE_URL": f"sqlite:///{_folder.name}/finops.sqlite3",
    "LOG_LEVEL": "WARNING",
}
django.setup()

from datetime import date  # noqa: E402 - Django has to be set up before models are imported

import duckdb  # noqa: E402

from accounts.scopes import ALL  # noqa: E402
from finops.costs import overview as overview_module  # noqa: E402
from finops.costs.buckets import buckets_of  # noqa: E402
from finops.costs.engine import engine  # noqa: E402
from finops.costs.metrics import Metric  # noqa: E402
from finops.costs.periods import DAY, Period  # noqa: E402
from finops.costs.published import published  # noqa: E402
from finops.models import Dataset, Segment  # noqa: E402
from finops.segments.arrival import OpenGate  # noqa: E402
from finops.segments.builder import builder_for  # noqa: E402
from finops.segments.store import SegmentStore  # noqa: E402
from tests.finops.cost_documents import document, generated  # noqa: E402
from tests.finops.oracle import Row  # noqa: E402

LAST = date(2026, 10, 20)
REGIONS = 12
SUB_ACCOUNTS = 60
BARE = """
SELECT date_trunc('month', charge_day), service_name, sum(billed_cost), sum(effective_cost),
       sum(list_cost), sum(contracted_cost), sum(contracted_cost_missing)
FROM read_parquet(?) WHERE charge_day >= ? AND billing_currency = 'EUR' GROUP BY ALL
"""


class Documents:
    """Documents by day."""

    def __init__(self, rows: list[Row]) -> None:
        self._days: dict[date, list[dict[str, object]]] = {}
        for number, row in enumerate(rows):
            extra: Row = {
                "RegionId": f"region-{number % REGIONS}",
                "SubAccountId": f"sub-{number * 7 % SUB_ACCOUNTS}",
                "ResourceId": f"/resource/{number % 5_000}",
                "ChargeDescription": f"Meter {number % 300}, hours",
            }
            made = document(number, row | extra)
            self._days.setdefault(made["ChargePeriodStart"].date(), []).append(made)

    def documents(self, period: Period) -> list[dict[str, object]]:
        return [one for day, found in self._days.items() if day in period for one in found]

    def bounds(self) -> Period | None:
        return Period(min(self._days), max(self._days) + DAY)

    @property
    def days(self) -> list[date]:
        return sorted(self._days)


def milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def read(dataset: Dataset) -> None:
    overview_module._cache.clear()
    overview_module.load_overview(dataset=dataset, scope=ALL, currency="EUR", metric=Metric.BILLED)


def single_file(dataset: Dataset) -> str:
    """The whole roll-up of a data set in one Parquet file."""
    manifest = published(dataset)
    assert manifest.span is not None
    scan = manifest.rollup(manifest.span, SegmentStore())
    path = str(Path(_folder.name) / "one.parquet")
    copy = f"COPY (SELECT * FROM {scan.sql}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
    duckdb.execute(copy, scan.parameters)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    call_command("migrate", "finops", verbosity=0)
    start = LAST - DAY * (options.days - 1)
    source = Documents(generated(start=start, days=options.days, rows=options.rows))

    by_month = Dataset.objects.create(name="by-month", flow="by-month")
    loaded = milliseconds(lambda: builder_for(by_month, source, OpenGate()).build(source.days))
    by_day = Dataset.objects.create(name="by-day", flow="by-day")

    def build_days() -> None:
        for day in source.days:
            builder_for(by_day, source, OpenGate()).build([day])

    single_days = milliseconds(build_days)
    for dataset in (by_month, by_day):
        dataset.refresh_from_db()
    path = single_file(by_month)
    bare = duckdb.connect(config={"threads": 2, "memory_limit": "1GB"})
    rows = duckdb.execute("SELECT count(*) FROM read_parquet(?)", [path]).fetchall()[0][0]

    def ask_bare() -> None:
        bare.execute(BARE, [path, buckets_of(Period(start, LAST + DAY))[0].start])
        bare.fetchall()

    works: dict[str, Callable[[], object]] = {
        "overview, a file a month": lambda: read(by_month),
        "overview, a file a day": lambda: read(by_day),
        "bare DuckDB, one file": ask_bare,
    }
    first = {name: milliseconds(work) for name, work in works.items()}
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, work in works.items():
            taken[name].append(milliseconds(work))

    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"duckdb {version('duckdb')}, pyarrow {version('pyarrow')}, Django {version('Django')}")
    print(f"{options.rows:,} rows in {options.days} days, {rows:,} in the roll-up")
    files = Segment.objects.values("dataset__name", "rollup_file").distinct()
    for dataset in (by_month, by_day):
        count = files.filter(dataset=dataset).count()
        print(f"{dataset.name}: {count} files of roll-ups")
    print(
        f"first load, by month: {loaded / 1000:.1f} s, {options.rows / loaded * 1000:,.0f} rows/s"
    )
    print(f"day after day:        {single_days / 1000:.1f} s, "
          f"{single_days / len(source.days):.1f} ms a day")  # fmt: skip
    yardstick = statistics.median(taken["bare DuckDB, one file"])
    for name, times in taken.items():
        median, worst = statistics.median(times), max(times)
        print(f"{name + ':':27} median {median:6.1f} ms, worst {worst:6.1f} ms, "
              f"first {first[name]:6.1f} ms, {median / yardstick:4.1f} x bare")  # fmt: skip


if __name__ == "__main__":
    main()
    engine().close()
    _folder.cleanup()
