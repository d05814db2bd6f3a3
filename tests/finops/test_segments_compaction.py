"""Files of a settled month are joined, and not a row changes by it."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import pytest

from accounts.scopes import ALL
from finops.costs.metrics import Metric
from finops.costs.overview import load_overview
from finops.costs.periods import DAY
from finops.models import Dataset, Segment
from finops.segments.compaction import Compactor
from finops.segments.manifest import sweep
from finops.segments.schema import configured_schema, segment_schema
from finops.segments.store import SegmentStore
from finops.tasks import tidy_segments
from tests.finops.cost_documents import MemorySource, builder, charge, generated

pytestmark = pytest.mark.django_db
LAST = date(2026, 10, 6)
AT_ONCE = timedelta(0)


@pytest.fixture
def source() -> MemorySource:
    return MemorySource(generated(start=LAST - DAY * 11, days=12, rows=200))


@pytest.fixture
def dataset(source: MemorySource) -> Dataset:
    dataset = Dataset.objects.create(name="costs", flow="flow")
    for day in sorted(source.days()):
        builder(dataset, source).build([day])
    return dataset


def compactor(dataset: Dataset, store: SegmentStore | None = None) -> Compactor:
    return Compactor(dataset, store or SegmentStore(), configured_schema())


def files(dataset: Dataset) -> int:
    live = Segment.objects.filter(dataset=dataset, rows__gt=0)
    return len(set(live.values_list("rollup_file", flat=True)))


def figures(dataset: Dataset) -> list[object]:
    dataset.refresh_from_db()
    return [
        (one.totals, one.services, one.rows)
        for metric in Metric
        for one in [load_overview(dataset=dataset, scope=ALL, currency="EUR", metric=metric)]
    ]


def test_months_become_files_and_the_figures_stay(dataset: Dataset) -> None:
    before, version = figures(dataset), dataset.version
    assert files(dataset) == 12
    months = [compactor(dataset).compact(settled_after=AT_ONCE) for _ in range(3)]
    assert months == [date(2026, 9, 1), date(2026, 10, 1), None]
    assert files(dataset) == 2
    assert figures(dataset) == before
    assert dataset.version == version + 2
    sweep(SegmentStore(), grace=AT_ONCE)
    assert figures(dataset) == before


def test_days_that_were_published_again_are_joined_from_their_newer_file(
    dataset: Dataset, source: MemorySource
) -> None:
    while compactor(dataset).compact(settled_after=AT_ONCE):
        pass
    for back in range(5):
        source.rows.append(charge(LAST - DAY * back, "1000"))
        builder(dataset, source).build([LAST - DAY * back])
    before = figures(dataset)
    assert compactor(dataset).compact(settled_after=AT_ONCE) == date(2026, 10, 1)
    assert figures(dataset) == before


def test_a_month_in_motion_is_left_alone(dataset: Dataset) -> None:
    assert compactor(dataset).compact(settled_after=timedelta(minutes=1)) is None


def test_a_day_published_meanwhile_keeps_its_newer_file(
    dataset: Dataset, source: MemorySource
) -> None:
    class Meanwhile(SegmentStore):
        write_first: Callable[[], None] | None = None

        def write(self, name: str, table: object) -> None:
            super().write(name, table)
            if self.write_first is not None:
                action, self.write_first = self.write_first, None
                action()

    def late_row() -> None:
        source.rows.append(charge(LAST - DAY * 8, "1000"))
        builder(dataset, source).build([LAST - DAY * 8])

    store = Meanwhile()
    store.write_first = late_row
    compactor(dataset, store).compact(settled_after=AT_ONCE)
    day = Segment.objects.get(dataset=dataset, day=LAST - DAY * 8)
    assert Decimal(day.totals["EUR"]["billed"]["sum"]) > 900
    compacted = figures(dataset)
    Segment.objects.all().delete()
    builder(dataset, source).build(source.days())
    assert figures(dataset) == compacted


def test_files_of_another_schema_wait_for_a_rebuild(dataset: Dataset) -> None:
    other = Compactor(dataset, SegmentStore(), segment_schema(("another",)))
    assert other.compact(settled_after=AT_ONCE) is None


def test_the_task_goes_on_after_a_data_set_that_fails(
    dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    Segment.objects.filter(day=LAST - DAY * 8).update(rollup_file="1/gone.parquet")
    whole = Dataset.objects.create(name="whole", flow="another")
    days = [LAST - DAY * back for back in range(4)]
    for day in days:
        builder(whole, MemorySource(map(charge, days))).build([day])
    Segment.objects.update(built_at="2026-01-01T00:00:00Z")
    tidy_segments()
    assert "'dataset': 'costs'" in caplog.text
    assert files(whole) == 1
