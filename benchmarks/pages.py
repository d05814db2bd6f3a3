"""What the pages cost at the size of a large enterprise.

    python -m benchmarks.pages [--rows 10000000] [--runs 150] [--keep FOLDER]

Thirteen months of made-up charges become segments (see ``benchmarks.large``; about two minutes, and
kept in FOLDER for the next run if one is named). Then the overview and a seeded choice of the
explorer's combinations are asked for by Django's test client, each as the first reader of a version
asks: no answer is in memory. The time that a page spends in DuckDB is compared with the same SQL,
with the same parameters, run by a bare DuckDB with the same limits right after the page: what is
left of the page's time is the product's own. Then Chromium opens the overview and the explorer from
gunicorn, and says when it first painted something. Prints medians and 95th percentiles in
milliseconds; a limit stands beside what is judged.
"""

import argparse
import gzip
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import django
from django.core.management import call_command

from tests import environment  # noqa: F401 - what the settings read: a folder and database of its own

DATASET = "large"
MEMORY, THREADS = "1GB", 2
# What the roll-up answers, and what only rows can.
COARSE = ((), ("service_name",), ("sub_account_name",), ("region_name",), ("tag:team",))
COARSE_PAIRS = (("service_name", "region_name"), ("sub_account_name", "service_name"),
                ("tag:team", "service_name"))  # fmt: skip
FINE = (("resource_name",), ("tag:env",), ("service_name", "resource_name"))
FILTERS: tuple[Mapping[str, str], ...] = (
    {},
    {"filter.service_name": "Service 7"},
    {"filter.sub_account_name": "Subscription 12", "filter.region_name": "Region 1"},
)
PERIODS = ("this-month", "30-days", "90-days", "6-months", "13-months")

Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Taken:
    """Milliseconds of one page."""

    whole: float
    in_duckdb: float
    bare: float


def queries(groups: Sequence[tuple[str, ...]], runs: int, seed: int) -> list[Query]:
    combinations = list(
        product(("effective", "billed"), PERIODS, groups, FILTERS, ("none", "period"), ("", "1"))
    )
    chosen = random.Random(seed).choices(combinations, k=runs)
    return [
        (
            ("metric", metric),
            ("period", period),
            *(("group", group) for group in by),
            *filters.items(),
            ("compare", compare),
            ("cumulative", cumulative),
        )
        for metric, period, by, filters, compare, cumulative in chosen
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile."""
    return sorted(values)[max(0, -(-len(values) * share // 1).__int__() - 1)]


def show(name: str, taken: Sequence[Taken], *, limit: float) -> None:
    whole = [one.whole for one in taken]
    own = [one.whole - one.in_duckdb for one in taken]
    against_bare = [one.whole - one.bare for one in taken]
    p95 = percentile(whole, 0.95)
    print(
        f"{name:36} p50 {statistics.median(whole):7.1f}  p95 {p95:7.1f}  worst {max(whole):7.1f}"
        f"   {_verdict(p95 < limit)} (p95 limit {limit:g}, {len(taken)} pages)"
    )
    beyond = statistics.median(against_bare)
    print(
        f"{'':36} beyond the same SQL in a bare DuckDB: median {beyond:.1f}, p95"
        f" {percentile(against_bare, 0.95):.1f}   {_verdict(beyond <= 15)} (limit 15);"
        f" outside of DuckDB: median {statistics.median(own):.1f}"
    )


def _verdict(held: bool) -> str:
    return "ok  " if held else "MISS"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=150)
    parser.add_argument("--keep", type=Path, help="a folder for the data set, used again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="finops-benchmark-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "finops.settings",
            "LOG_LEVEL": "ERROR",
            "VAR_DIR": str(folder.resolve()),
            "DATABASE_URL": f"sqlite:///{folder.resolve()}/finops.sqlite3",
            "SEGMENT_TAG_COLUMNS": "team",
            "DUCKDB_MEMORY_LIMIT": MEMORY,
            "DUCKDB_THREADS": str(THREADS),
        }
        django.setup()
        call_command("migrate", verbosity=0)
        _measure(options.rows, options.runs)


def _measure(rows: int, runs: int) -> None:
    from django.test import Client

    from accounts.levels import PermissionLevel
    from benchmarks.large import build
    from finops.costs.engine import engine
    from finops.models import Dataset
    from tests.finops.people import sign_in

    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"Django {version('Django')}, duckdb {version('duckdb')}: {THREADS} threads, {MEMORY}\n")
    if not Dataset.objects.filter(name=DATASET).exists():
        build(DATASET, rows=rows)
    client = sign_in(Client(SERVER_NAME="localhost"), PermissionLevel.ANALYST)
    with recorded(engine()) as asked:
        ask = _asker(client, asked)
        ask("/", ())  # imports, templates, DuckDB's first look at the files
        ask("/explore/", ())
        show("overview", [ask("/", ()) for _ in range(max(runs // 10, 5))], limit=150)
        coarse = queries([*COARSE, *COARSE_PAIRS], runs, seed=1)
        show("explorer, from roll-ups", [ask("/explore/", q) for q in coarse], limit=150)
        fine = queries(FINE, max(runs // 4, 10), seed=2)
        show("explorer, from rows", [ask("/explore/", q) for q in fine], limit=1000)
        one = (("period", "30-days"), ("filter.service_name", "Service 7"))
        pages = [ask("/explore/rows/", one) for _ in range(max(runs // 15, 5))]
        show("rows, a page of them", pages, limit=1000)
    print()
    query = urlencode([("group", "service_name"), ("period", "90-days"), ("compare", "period")])
    for path in ("/", f"/explore/?{query}"):
        weigh(client, path)
    paints(str(client.session.session_key), ("/", f"/explore/?{query}"))


Record = tuple[str, dict[str, Any], float]


@contextmanager
def recorded(found: Any) -> Iterator[list[Record]]:
    """Note every statement that the engine answers, and its milliseconds."""
    asked: list[Record] = []
    fetch = found.fetch

    def noting(sql: str, parameters: Mapping[str, Any]) -> Any:
        started = time.perf_counter()
        rows = fetch(sql, parameters)
        asked.append((sql, dict(parameters), (time.perf_counter() - started) * 1000))
        return rows

    found.fetch = noting
    try:
        yield asked
    finally:
        del found.fetch


def _asker(client: Any, asked: list[Record]) -> Callable[[str, Query], Taken]:
    import duckdb
    from django.db.models import F

    from finops.models import Dataset

    bare = duckdb.connect(config={"threads": THREADS, "memory_limit": MEMORY})

    def ask(path: str, query: Query) -> Taken:
        # A new version: nobody has asked this of it yet.
        Dataset.objects.update(version=F("version") + 1)
        asked.clear()
        started = time.perf_counter()
        answer = client.get(path, query)
        whole = (time.perf_counter() - started) * 1000
        if answer.status_code != 200:
            sys.exit(f"{path}?{urlencode(query)} answered {answer.status_code}.")
        return Taken(whole, sum(took for _, _, took in asked), _again(bare, asked))

    return ask


def _again(bare: Any, asked: Sequence[Record]) -> float:
    """Milliseconds of the same statements without the product."""
    total = 0.0
    for sql, parameters, _ in asked:
        started = time.perf_counter()
        bare.execute(sql, parameters).fetchall()
        total += (time.perf_counter() - started) * 1000
    return total


def weigh(client: Any, path: str) -> None:
    body = client.get(path).content
    sent = len(gzip.compress(body))
    print(f"{path.partition('?')[0]:12} {len(body):>9,} bytes, {sent:>7,} compressed"
          f"   {_verdict(sent < 120_000)} (limit 120,000)")  # fmt: skip


def paints(session: str, paths: Sequence[str]) -> None:
    """When Chromium first paints something of a page, and how much it moves afterwards."""
    from django.conf import settings

    from tests.e2e.chromium import chromium
    from tests.e2e.conftest import free_port
    from tests.waiting import wait_until

    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "finops.wsgi", "--bind", f"127.0.0.1:{port}",
               "--threads", "4", "--log-level", "error"]  # fmt: skip
    server = subprocess.Popen(command)
    try:
        with chromium() as browser:
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            site = f"http://localhost:{port}"
            name = settings.SESSION_COOKIE_NAME
            context.add_cookies([{"name": name, "value": session, "url": site}])
            page = context.new_page()
            wait_until(lambda: _answers(page, site), timeout=60, what="gunicorn answers")
            for path in paths:
                times = [_paint(page, site + path) for _ in range(9)]
                median = statistics.median(times)
                print(
                    f"{path.partition('?')[0]:12} first contentful paint: median {median:.0f},"
                    f" worst {max(times):.0f}   {_verdict(median < 500)} (limit 500)"
                )
    finally:
        server.terminate()
        server.wait(timeout=20)


def _answers(page: Any, site: str) -> bool:
    from playwright.sync_api import Error

    try:
        return bool(page.goto(f"{site}/", timeout=5000).ok)
    except Error:
        return False


_PAINT = """() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"""


def _paint(page: Any, url: str) -> float:
    page.goto(url, wait_until="load")
    handle = page.wait_for_function(_PAINT)
    return float(handle.json_value())


if __name__ == "__main__":
    main()
