"""Half a month is never on a page: an import is published when all of it has arrived."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from finops.costs.periods import DAY, Period
from finops.importing.journal import ImportState, Manifest, manifests_of
from finops.importing.sums import Totals
from finops.models import Dataset, HeldDay, ImportedMonth, ImportRun
from finops.segments.arrival import ImportGate, accept, learn_of_imports, settle
from finops.segments.builder import builder_for
from finops.segments.documents import destination_of
from finops.tasks import tidy_segments
from replication.models import Flow
from replication.mongo import close_clients
from replication.status import Namespace
from tests.finops.arriving import Arriving
from tests.finops.cost_documents import aware
from tests.finops.flows import STREAMING
from tests.finops.focus_rows import row, write_csv
from tests.finops.imports import imported
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]
FIRST = date(2026, 9, 1)


@pytest.fixture
def costs(mongo_server: str) -> Iterator[Arriving]:
    with MongoClient[dict[str, Any]](mongo_server) as server:
        yield Arriving.create(mongo_server, server)
    close_clients()


def day_row(day: date, cost: object, **cells: str) -> dict[str, str]:
    end = day + DAY
    return row(
        ChargePeriodStart=f"{day}T00:00:00Z",
        ChargePeriodEnd=f"{end}T00:00:00Z",
        BilledCost=str(cost),
        **cells,
    )


def month(path: Path, *, plus: int = 0, days: int = 5, each: int = 4) -> dict[date, Decimal]:
    """A file of September; returns what each day costs."""
    rows = [day_row(FIRST + DAY * n, n + i + plus) for n in range(days) for i in range(each)]
    write_csv(path, rows)
    return {FIRST + DAY * n: Decimal(sum(n + i + plus for i in range(each))) for n in range(days)}


def test_a_month_appears_as_a_whole_and_is_corrected_as_a_whole(
    costs: Arriving, tmp_path: Path
) -> None:
    path = tmp_path / "september.csv"
    shown: dict[date, Decimal] = {}
    for plus in (0, 100):
        expected = month(path, plus=plus)
        costs.run_import(path)
        while costs.replicate(at_most=7) > 7:
            assert costs.publish() == shown
        shown = costs.publish()
        assert shown == expected
    assert not HeldDay.objects.exists()
    (known,) = ImportedMonth.objects.all()
    assert (known.settled, known.rows_here, known.rows) == (True, 20, 20)


def test_a_correction_of_equal_cost_waits_for_all_of_it(costs: Arriving, tmp_path: Path) -> None:
    """Rows and sums agree from the start; the checksum does not."""
    path = write_csv(tmp_path / "a.csv", [day_row(FIRST + DAY * n, 1) for n in range(4)])
    costs.run_import(path)
    costs.replicate()
    costs.publish()
    moved = [day_row(FIRST + DAY * n, 1) for n in (10, 11, 12, 13)]
    costs.run_import(write_csv(path, moved))
    for _ in range(3):
        costs.replicate(at_most=2)
        assert set(costs.publish()) == {FIRST + DAY * n for n in range(4)}
    costs.replicate()
    assert set(costs.publish()) == {FIRST + DAY * n for n in (10, 11, 12, 13)}


def test_other_months_go_on_meanwhile(costs: Arriving, tmp_path: Path) -> None:
    expected = month(tmp_path / "a.csv")
    costs.run_import(tmp_path / "a.csv")
    october = date(2026, 10, 1)
    other = {
        "BillingPeriodStart": "2026-10-01T00:00:00Z",
        "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    }
    costs.run_import(write_csv(tmp_path / "b.csv", [day_row(october, 1, **other)]))
    costs.replicate(BillingPeriodStart=aware(october))
    costs.replicate(at_most=3)
    assert costs.publish() == {october: Decimal(1)}
    costs.replicate()
    assert costs.publish() == expected | {october: Decimal(1)}


def test_changes_beside_an_import_are_published_at_once(costs: Arriving, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [day_row(FIRST, 1)])
    costs.run_import(path)
    costs.replicate()
    costs.publish()
    some = costs.source.find_one() or {}
    costs.source.insert_one(some | {"_id": "by hand"})
    costs.replicate()
    assert costs.publish() == {FIRST: Decimal(2)}


def test_an_import_that_begins_while_a_day_is_read_holds_it(
    costs: Arriving, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "a.csv", [day_row(FIRST, 1)])
    costs.run_import(path)
    costs.replicate()
    costs.publish()
    read = destination_of(costs.dataset)

    class Interrupted:
        def documents(self, period: Period) -> Iterator[Mapping[str, Any]]:
            costs.run_import(write_csv(path, [day_row(FIRST, 1), day_row(FIRST, 2)]))
            costs.replicate(at_most=1)
            yield from read.documents(period)

        def bounds(self) -> Period | None:
            return read.bounds()

    gate = ImportGate(costs.dataset, costs.namespace)
    builder_for(costs.dataset, Interrupted(), gate).build([FIRST])
    assert costs.shown() == {FIRST: Decimal(1)}
    costs.replicate()
    assert costs.publish() == {FIRST: Decimal(3)}


def test_a_month_that_never_agrees_is_published_when_somebody_accepts_it(
    costs: Arriving, tmp_path: Path
) -> None:
    costs.run_import(write_csv(tmp_path / "a.csv", [day_row(FIRST, 1), day_row(FIRST, 2)]))
    costs.source.delete_one({"BilledCost": {"$exists": True}})
    costs.replicate()
    assert costs.publish() == {}
    assert ImportedMonth.objects.get().rows_here == 1
    assert accept(costs.dataset, ImportedMonth.objects.all()) == 1
    assert accept(costs.dataset, ImportedMonth.objects.all()) == 0
    assert len(costs.publish()) == 1


def test_a_filtered_copy_waits_for_its_position_instead(costs: Arriving, tmp_path: Path) -> None:
    Flow.objects.update(filter={"ServiceName": "Virtual Machines"})
    costs.run_import(write_csv(tmp_path / "a.csv", [day_row(FIRST, 1), day_row(FIRST, 2)]))
    costs.source.delete_one({"BilledCost": {"$exists": True}})
    costs.replicate()
    assert costs.publish() == {}  # no position yet


def test_an_import_that_changed_nothing_is_in_the_history(costs: Arriving, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [day_row(FIRST, 1)])
    costs.run_import(path)
    costs.replicate()
    costs.publish()
    costs.run_import(path)
    tidy_segments()
    assert [run.outcome["inserted"] for run in ImportRun.objects.all()] == [0, 1]


def test_a_source_that_was_emptied_takes_its_months_along(costs: Arriving, tmp_path: Path) -> None:
    costs.run_import(write_csv(tmp_path / "a.csv", [day_row(FIRST, 1)]))
    learn_of_imports(costs.dataset, costs.namespace)
    assert ImportedMonth.objects.count() == 1
    costs.server.drop_database(costs.flow.source_database)
    learn_of_imports(costs.dataset, costs.namespace)
    assert ImportedMonth.objects.count() == 0


def test_imported_three_times_corrected_and_killed_it_is_as_if_imported_once(
    costs: Arriving, mongo_server: str, tmp_path: Path
) -> None:
    path = tmp_path / "september.csv"
    before = month(path)
    for _ in range(3):
        costs.run_import(path)
        costs.replicate()
        assert costs.publish() == before
    corrected = month(path, plus=1000, days=20, each=300)
    name = costs.flow.source_database
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.finops.import_process", mongo_server, name, str(path)],
        env=os.environ
        | {
            "DATABASE_URL": f"sqlite:///{tmp_path / 'importer.sqlite3'}",
            "VAR_DIR": str(tmp_path),
            "DJANGO_SETTINGS_MODULE": "finops.settings",
            "PYTHONPATH": str(ROOT),
        },
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(
            lambda: costs.source.estimated_document_count() > 1000,
            timeout=60,
            what="the import is under way",
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    (manifest,) = manifests_of(costs.namespace)
    assert manifest.state is ImportState.IMPORTING
    costs.replicate()
    assert costs.publish() == before
    # And what is killed is simply run again.
    summary = costs.run_import(path)
    assert 0 < summary.unchanged < summary.rows == 6000
    costs.replicate(at_most=3000)
    assert costs.publish() == before
    costs.replicate()
    assert costs.publish() == corrected
    assert costs.source.count_documents({}) == costs.copy.count_documents({}) == 6000
    (manifest,) = manifests_of(costs.namespace)
    assert manifest.totals["EUR"]["billed"]["sum"] == str(sum(corrected.values()))


def test_what_was_settled_meanwhile_stays_settled(
    costs: Arriving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes learn of the same month, and one of them is slower."""
    costs.run_import(write_csv(tmp_path / "a.csv", [day_row(FIRST, 1)]))

    def told(source: Namespace) -> list[Manifest]:
        found = manifests_of(source)
        if not ImportedMonth.objects.exists():
            ImportedMonth.objects.create(
                dataset=costs.dataset,
                key=found[0].id,
                billing_period=FIRST,
                run=found[0].run,
                state="importing",
                started_at=found[0].started_at,
                totals={},
                settled_run=found[0].run,
            )
        return found

    monkeypatch.setattr("finops.segments.arrival.manifests_of", told)
    learn_of_imports(costs.dataset, costs.namespace)
    (month,) = ImportedMonth.objects.all()
    assert (month.settled, month.state, month.rows) == (True, "complete", 1)


class FakeCopy:
    """A copy that holds so many rows; counts how often it is looked at."""

    def __init__(self, rows: int = 0, totals: Totals | None = None) -> None:
        self.rows, self.totals = rows, totals or {}
        self.counted = self.read = 0

    def ensure_month_index(self) -> None:
        pass

    def month_rows(self, billing_account: str | None, billing_period: date) -> int:
        self.counted += 1
        return self.rows

    def month_totals(self, billing_account: str | None, billing_period: date) -> Totals:
        self.read += 1
        return self.totals


def test_a_month_is_read_only_when_its_rows_are_there_and_not_again_at_once() -> None:
    dataset = Dataset.objects.create(name="costs", flow="costs")
    month = imported(dataset, run="new", totals={"EUR": {"rows": 2}})
    copy = FakeCopy(rows=1)
    for _ in range(3):
        settle(dataset, STREAMING, copy)
    assert (copy.counted, copy.read) == (1, 0)
    ImportedMonth.objects.update(look_again_at=None)
    copy.rows = 2
    settle(dataset, STREAMING, copy)
    assert (copy.counted, copy.read) == (2, 1)
    month.refresh_from_db()
    assert not month.settled
    ImportedMonth.objects.update(look_again_at=None)
    copy.totals = month.totals
    settle(dataset, STREAMING, copy)
    month.refresh_from_db()
    assert month.settled


def test_two_processes_do_not_look_at_one_month_at_once() -> None:
    dataset = Dataset.objects.create(name="costs", flow="costs")
    imported(dataset, run="new", totals={"EUR": {"rows": 2}})

    class Watched(FakeCopy):
        def month_rows(self, billing_account: str | None, billing_period: date) -> int:
            settle(dataset, STREAMING, other)
            return super().month_rows(billing_account, billing_period)

    copy, other = Watched(rows=1), FakeCopy(rows=1)
    settle(dataset, STREAMING, copy)
    assert (copy.counted, other.counted) == (1, 0)


@pytest.mark.parametrize(
    ("seconds", "settled"), [(None, False), (-1, False), (4, False), (6, True)]
)
def test_a_filtered_copy_settles_when_its_position_has_passed_the_import(
    seconds: int | None, settled: bool
) -> None:
    dataset = Dataset.objects.create(name="costs", flow="costs")
    month = imported(dataset, run="new", totals={"EUR": {"rows": 2}})
    assert month.completed_at is not None
    position = None if seconds is None else month.completed_at + timedelta(seconds=seconds)
    copy = FakeCopy()
    settle(dataset, replace(STREAMING, as_source=False, position_at=position), copy)
    month.refresh_from_db()
    assert month.settled is settled
    assert copy.counted == 0
