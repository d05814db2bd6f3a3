"""Whole months are read as sums over their days, and say the same."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage

from finops.costs.engine import Engine
from finops.costs.periods import DAY, Period
from finops.costs.published import Published, Scan, published
from finops.models import Dataset
from finops.segments.store import SegmentStore
from tests.finops.cost_documents import MemorySource, builder, charge, generated

pytestmark = pytest.mark.django_db
FIRST = date(2026, 8, 1)
AUGUST, SEPTEMBER = Period(FIRST, date(2026, 9, 1)), Period(date(2026, 9, 1), date(2026, 10, 1))
BOTH = Period(AUGUST.start, SEPTEMBER.end)
COLUMNS = [
    column
    for measure in ("billed_cost", "contracted_cost")
    for column in (measure, f"{measure}_missing")
]


@pytest.fixture
def store(tmp_path: Path) -> SegmentStore:
    return SegmentStore(FileSystemStorage(tmp_path / "segments"))


@pytest.fixture
def engine(store: SegmentStore) -> Iterator[Engine]:
    made = Engine(store, timeout=30)
    yield made
    made.close()


@pytest.fixture
def source(store: SegmentStore) -> MemorySource:
    """Two months, each in files of its own."""
    made = MemorySource(generated(start=FIRST, days=61, rows=400, seed=3))
    builder(Dataset.objects.create(name="costs", flow="costs"), made, store).build(made.days())
    return made


def manifest() -> Published:
    return published(Dataset.objects.get())


def by_service(scan: Scan, engine: Engine) -> dict[Any, tuple[Any, ...]]:
    sums = ", ".join(f"sum({column})" for column in ("rows", *COLUMNS))
    rows = engine.fetch(
        f"SELECT date_trunc('month', charge_day), service_name, billing_currency, sub_account_id,"
        f" {sums} FROM {scan.sql} GROUP BY ALL",
        scan.parameters,
    )
    return {row[:4]: row[4:] for row in rows}


def counted(scan: Scan, engine: Engine) -> int:
    (found,) = engine.fetch(f"SELECT count(*) FROM {scan.sql}", scan.parameters)
    return int(found[0])


@pytest.mark.usefixtures("source")
def test_months_say_what_their_days_say_in_fewer_rows(store: SegmentStore, engine: Engine) -> None:
    by_day = manifest().rollup(BOTH, store)
    by_month = manifest().rollup(BOTH, store, monthly_before=BOTH.end)
    assert by_service(by_month, engine) == by_service(by_day, engine)
    assert counted(by_month, engine) < counted(by_day, engine) / 2


@pytest.mark.usefixtures("source")
def test_days_are_read_from_the_day_on_from_which_they_matter(
    store: SegmentStore, engine: Engine
) -> None:
    middle = SEPTEMBER.start + DAY * 12
    scan = manifest().rollup(BOTH, store, monthly_before=middle)
    days = {row[0] for row in engine.fetch(f"SELECT charge_day FROM {scan.sql}", scan.parameters)}
    assert {day for day in days if day in AUGUST} == {manifest().days[0].day}
    assert {day for day in days if day in SEPTEMBER} == {
        one.day for one in manifest().days if one.day in SEPTEMBER
    }


@pytest.mark.usefixtures("source")
def test_part_of_a_month_is_read_day_by_day(store: SegmentStore, engine: Engine) -> None:
    part = Period(AUGUST.start + DAY * 3, SEPTEMBER.end)
    scan = manifest().rollup(part, store, monthly_before=part.end)
    found = engine.fetch(
        f"SELECT sum(rows) FROM {scan.sql} WHERE charge_day >= $start",
        {**scan.parameters, "start": part.start},
    )
    assert found == [(sum(day.rows for day in manifest().days if day.day in part),)]


def test_a_month_of_which_a_day_was_built_again_is_read_by_days(
    source: MemorySource, store: SegmentStore, engine: Engine
) -> None:
    source.rows.append(charge(AUGUST.start, "1000", ServiceName="New"))
    dataset = Dataset.objects.get()
    builder(dataset, source, store).build([AUGUST.start])
    by_month = by_service(manifest().rollup(BOTH, store, monthly_before=BOTH.end), engine)
    assert by_month == by_service(manifest().rollup(BOTH, store), engine)
    assert sum(row[1] or 0 for key, row in by_month.items() if key[1] == "New") == Decimal(1000)


def test_a_file_of_one_day_needs_no_sums(store: SegmentStore, engine: Engine) -> None:
    source = MemorySource([charge(FIRST)])
    dataset = Dataset.objects.create(name="costs", flow="costs")
    builder(dataset, source, store).build([FIRST])
    assert list(dataset.files.filter(name__contains=".month.")) == []
    scan = manifest().rollup(AUGUST, store, monthly_before=AUGUST.end)
    assert counted(scan, engine) == 1
    assert ".month." not in str(scan.parameters)
