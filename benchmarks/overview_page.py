"""How long the overview takes on the server, and what it weighs.

    python -m benchmarks.overview_page [--rows 20000] [--runs 100]

Builds thirteen months of made-up charges into segments in a temporary folder, signs somebody in,
and asks Django's test client for the page: no network, no web server, one process. "Cold" is the
first reader of a version, for whom DuckDB is asked, "warm" every reader after that. Prints medians
in milliseconds, by the clock and by this process's processor time (on a busy machine the clock also
counts others' work), and sizes in bytes.
"""

import argparse
import gzip
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import django
from django.core.management import call_command

from tests import environment  # noqa: F401 - what the settings read: a folder and database of its own

FIRST_DAY, DAYS = date(2025, 10, 1), 396
ASSETS = (
    "django_htmx/htmx-2.min.js",
    "finops/app.css",
    "finops/app.js",
    "vendor/inter/inter-latin-wght-normal.woff2",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    os.environ |= {"DJANGO_SETTINGS_MODULE": "finops.settings", "LOG_LEVEL": "ERROR"}
    django.setup()
    call_command("migrate", verbosity=0)
    _measure(rows=options.rows, runs=options.runs)


def _measure(*, rows: int, runs: int) -> None:
    from django.db.models import F
    from django.template.loader import render_to_string
    from django.test import Client

    from accounts.scopes import ALL
    from finops.costs.metrics import Metric
    from finops.costs.overview import load_overview
    from finops.models import Dataset
    from finops.overview_page import present
    from tests.finops.cost_documents import build_all, generated
    from tests.finops.people import sign_in

    started = time.perf_counter()
    dataset = build_all(generated(start=FIRST_DAY, days=DAYS, rows=rows))
    print(f"{platform.platform()}, Python {platform.python_version()}")
    print(f"{rows:,} rows over {DAYS} days built in {time.perf_counter() - started:.1f} s\n")
    client = sign_in(Client(SERVER_NAME="localhost"))
    page = client.get("/").content

    def cold() -> None:
        Dataset.objects.update(version=F("version") + 1)
        client.get("/")

    loaded = load_overview(dataset=dataset, scope=ALL, currency="EUR", metric=Metric.EFFECTIVE)
    shown = present(loaded)
    context = {"page": shown, "layout": "swap.html"}
    for label, work, count in (
        ("whole page, cold", cold, runs // 5),
        ("whole page, warm", lambda: client.get("/"), runs),
        ("swap by htmx, warm", lambda: client.get("/", headers={"HX-Request": "true"}), runs),
        ("freshness alone", lambda: client.get("/freshness/"), runs),
        ("figures to page", lambda: present(loaded), runs),
        ("template", lambda: render_to_string("finops/overview.html", context), runs),
    ):
        clock, processor = _medians(work, count)
        print(f"{label:<22}{clock:8.2f} ms {processor:8.2f} ms of processor")
    print()
    _weigh(page)


def _medians(work: Callable[[], object], count: int) -> tuple[float, float]:
    clock, processor = [], []
    for _ in range(max(count, 1)):
        started, used = time.perf_counter(), time.process_time()
        work()
        processor.append((time.process_time() - used) * 1000)
        clock.append((time.perf_counter() - started) * 1000)
    return statistics.median(clock), statistics.median(processor)


def _weigh(page: bytes) -> None:
    from django.contrib.staticfiles import finders

    total = 0
    for name, body in [("page", page)] + [
        (name, Path(str(finders.find(name))).read_bytes()) for name in ASSETS
    ]:
        sent = len(body) if name.endswith(".woff2") else len(gzip.compress(body))
        total += sent
        print(f"{name:<46}{len(body):>9,} bytes {sent:>8,} sent")
    print(f"{'together':<46}{'':>15} {total:>8,} sent")


if __name__ == "__main__":
    main()
