"""Days are published as their documents say, whoever builds them, and however often."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage
from hypothesis import given
from hypothesis import strategies as st

from finops.costs.periods import DAY, Period
from finops.models import Dataset, Segment, SegmentFile
from finops.segments.builder import DaysContested, days_of, days_to_rebuild, ranges
from finops.segments.manifest import FileSwept, sweep
from finops.segments.months import month_file
from finops.segments.store import SegmentFileMissing, SegmentStore
from tests.finops.cost_documents import MemorySource, builder, charge

pytestmark = pytest.mark.django_db
FIRST = date(2026, 9, 1)
NO_GRACE = timedelta(0)


@pytest.fixture
def dataset() -> Dataset:
    return Dataset.objects.create(name="costs", flow="flow")


@pytest.fixture
def store(tmp_path: Path) -> SegmentStore:
    return SegmentStore(FileSystemStorage(tmp_path / "segments"))


def billed(dataset: Dataset) -> dict[date, Decimal]:
    live = Segment.objects.filter(dataset=dataset, rows__gt=0)
    return {one.day: Decimal(one.totals["EUR"]["billed"]["sum"]) for one in live}


def files_of(tmp_path: Path) -> set[str]:
    root = tmp_path / "segments"
    return {str(path.relative_to(root)) for path in root.rglob("*.parquet")}


def referenced(dataset: Dataset) -> set[str]:
    live = Segment.objects.filter(dataset=dataset, rows__gt=0)
    several = SegmentFile.objects.filter(days__gt=1).values_list("name", flat=True)
    summed = {month_file(one.rollup_file) for one in live if one.rollup_file in several}
    return summed | {name for one in live for name in (one.rows_file, one.rollup_file)}


def test_a_first_load_of_400_days_asks_a_dozen_times(dataset: Dataset, store: SegmentStore) -> None:
    source = MemorySource(charge(FIRST + DAY * n) for n in range(400))
    builder(dataset, source, store).build(source.days())
    assert len(source.asked) == 14
    assert len(billed(dataset)) == 400
    dataset.refresh_from_db()
    assert dataset.version == 14


def test_late_rows_change_their_day_and_no_other(dataset: Dataset, store: SegmentStore) -> None:
    source = MemorySource([charge(FIRST, "1"), charge(FIRST + DAY, "2")])
    builder(dataset, source, store).build(source.days())
    source.rows.append(charge(FIRST, "0.25"))
    builder(dataset, source, store).build([FIRST])
    assert billed(dataset) == {FIRST: Decimal("1.25"), FIRST + DAY: Decimal(2)}
    assert dict(Segment.objects.values_list("day", "version")) == {FIRST: 2, FIRST + DAY: 1}


def test_a_moved_date_leaves_the_old_day_and_reaches_the_new_one(
    dataset: Dataset, store: SegmentStore
) -> None:
    moved_to = date(2026, 11, 5)
    source = MemorySource([charge(FIRST, "1"), charge(FIRST, "2")])
    builder(dataset, source, store).build([FIRST])
    source.rows[1] = charge(moved_to, "2")
    builder(dataset, source, store).build([FIRST, moved_to])
    assert billed(dataset) == {FIRST: Decimal(1), moved_to: Decimal(2)}


def test_a_day_that_lost_its_documents_loses_its_segment(
    dataset: Dataset, store: SegmentStore, tmp_path: Path
) -> None:
    source = MemorySource([charge(FIRST)])
    builder(dataset, source, store).build([FIRST])
    source.rows.clear()
    builder(dataset, source, store).build([FIRST])
    assert billed(dataset) == {}
    assert sweep(store, grace=NO_GRACE) == 2
    assert files_of(tmp_path) == set()
    dataset.refresh_from_db()
    assert dataset.version == 2


def test_replaced_files_stay_for_the_grace_and_then_go(
    dataset: Dataset, store: SegmentStore, tmp_path: Path
) -> None:
    source = MemorySource([charge(FIRST)])
    builder(dataset, source, store).build([FIRST])
    builder(dataset, source, store).build([FIRST])
    assert sweep(store, grace=timedelta(minutes=10)) == 0
    assert len(files_of(tmp_path)) == 4
    assert sweep(store, grace=NO_GRACE) == 2
    assert files_of(tmp_path) == referenced(dataset)


def test_a_months_file_stays_while_one_of_its_days_counts(
    dataset: Dataset, store: SegmentStore, tmp_path: Path
) -> None:
    source = MemorySource([charge(FIRST), charge(FIRST + DAY)])
    builder(dataset, source, store).build(source.days())
    builder(dataset, source, store).build([FIRST])
    assert sweep(store, grace=NO_GRACE) == 0
    builder(dataset, source, store).build([FIRST + DAY])
    assert sweep(store, grace=NO_GRACE) == 3  # rows, roll-up and the sums over the month
    assert files_of(tmp_path) == referenced(dataset)


def test_files_swept_before_publication_are_never_published(
    dataset: Dataset, store: SegmentStore
) -> None:
    class Slow(SegmentStore):
        def write(self, name: str, table: Any) -> None:
            super().write(name, table)
            sweep(store, grace=NO_GRACE)

    slow = Slow(store._storage)
    with pytest.raises(FileSwept, match="SEGMENT_GRACE"):
        builder(dataset, MemorySource([charge(FIRST)]), slow).build([FIRST])
    assert billed(dataset) == {}


class Interrupted(MemorySource):
    """After it has read its documents, somebody else does something."""

    def __init__(self, source: MemorySource, actions: Iterator[Any]) -> None:
        super().__init__()
        self._source = source
        self._actions = actions

    def documents(self, period: Period) -> Iterator[Mapping[str, Any]]:
        found = list(self._source.documents(period))
        action = next(self._actions, None)
        if action is not None:
            action()
        return iter(found)


def test_of_two_builders_the_one_that_read_earlier_reads_again(
    dataset: Dataset, store: SegmentStore, tmp_path: Path
) -> None:
    source = MemorySource([charge(FIRST, "1"), charge(FIRST + DAY, "5")])

    def other_builder() -> None:
        source.rows.append(charge(FIRST, "10"))
        builder(dataset, source, store).build([FIRST])

    slow = Interrupted(source, iter([other_builder]))
    builder(dataset, slow, store).build(source.days())
    assert billed(dataset) == {FIRST: Decimal(11), FIRST + DAY: Decimal(5)}
    sweep(store, grace=NO_GRACE)
    assert files_of(tmp_path) == referenced(dataset)


def test_old_documents_do_not_come_back_after_their_day_was_emptied(
    dataset: Dataset, store: SegmentStore
) -> None:
    source = MemorySource([charge(FIRST)])

    def publish_then_empty() -> None:
        builder(dataset, source, store).build([FIRST])
        source.rows.clear()
        builder(dataset, source, store).build([FIRST])

    slow = Interrupted(source, iter([publish_then_empty]))
    builder(dataset, slow, store).build([FIRST])
    assert billed(dataset) == {}


def test_a_day_that_others_keep_publishing_is_left_to_the_next_run(
    dataset: Dataset, store: SegmentStore
) -> None:
    source = MemorySource([charge(FIRST)])

    def other() -> None:
        builder(dataset, source, store).build([FIRST])

    slow = Interrupted(source, iter([other] * 3))
    with pytest.raises(DaysContested, match="2026-09-01"):
        builder(dataset, slow, store).build([FIRST])
    assert billed(dataset) == {FIRST: Decimal(1)}


def test_defects_are_counted_in_the_manifest(dataset: Dataset, store: SegmentStore) -> None:
    source = MemorySource([charge(FIRST, "1.0000000000000000005"), charge(FIRST + DAY)])
    builder(dataset, source, store).build(source.days())
    first, second = Segment.objects.order_by("day")
    assert first.defects["rounded:BilledCost"] == 1
    assert second.defects == {}


def test_a_full_rebuild_covers_documents_and_segments_without_them(
    dataset: Dataset, store: SegmentStore
) -> None:
    source = MemorySource([charge(FIRST)])
    builder(dataset, source, store).build([FIRST])
    source.rows = [charge(FIRST + DAY * 3), charge(FIRST + DAY * 5)]
    days = days_to_rebuild(dataset, source)
    assert days == [FIRST, FIRST + DAY * 3, FIRST + DAY * 4, FIRST + DAY * 5]
    builder(dataset, source, store).build(days)
    assert set(billed(dataset)) == {FIRST + DAY * 3, FIRST + DAY * 5}


def test_a_missing_file_is_named(store: SegmentStore) -> None:
    with pytest.raises(SegmentFileMissing, match=r"1/a\.parquet .* rebuild_segments"):
        store.read(["1/a.parquet"])


def test_every_file_is_recorded(dataset: Dataset, store: SegmentStore, tmp_path: Path) -> None:
    source = MemorySource([charge(FIRST)])
    builder(dataset, source, store).build([FIRST])
    assert set(SegmentFile.objects.values_list("name", flat=True)) == files_of(tmp_path)


@given(st.sets(st.dates(date(2024, 1, 1), date(2025, 12, 31)), max_size=80))
def test_ranges_hold_the_same_days_within_months_and_cannot_be_joined(days: set[date]) -> None:
    found = list(ranges(days))
    assert [day for one in found for day in days_of(one)] == sorted(days)
    assert all(
        (one.start.year, one.start.month) == (one.last.year, one.last.month) for one in found
    )
    assert all(a.end != b.start or b.start.day == 1 for a, b in pairwise(found))
