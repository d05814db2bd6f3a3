"""Marks of touched days become segments, and go exactly when their days are published."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from bson import ObjectId
from django.utils import timezone

from finops.costs.periods import DAY, Period
from finops.models import Dataset, Segment
from finops.segments.touched import (
    CLAIM,
    Claim,
    NotPartitionedByDay,
    build_touched,
    rest,
    resting,
)
from finops.tasks import build_touched_segments
from replication.status import Mark
from tests.finops.cost_documents import MemorySource, aware, builder, charge

pytestmark = pytest.mark.django_db
FIRST = date(2026, 9, 1)
LONG = timedelta(minutes=1)


class MemoryMarks:
    """Marks in a list, handed out a few at a time."""

    def __init__(self, *days: date, at_once: int = 2) -> None:
        self.marks = [mark(day) for day in days]
        self._at_once = at_once

    def read(self, after: Mark | None = None) -> Sequence[Mark]:
        found = [one for one in self.marks if after is None or one.id > after.id]
        return found[: self._at_once]

    def clear(self, marks: Sequence[Mark]) -> None:
        gone = {one.id for one in marks}
        self.marks = [one for one in self.marks if one.id not in gone]


def mark(*days: date, **more: object) -> Mark:
    return Mark(ObjectId(), tuple({"ChargePeriodStart": aware(day, 5)} | more for day in days))


@pytest.fixture
def dataset() -> Dataset:
    return Dataset.objects.create(name="costs", flow="flow")


def published(dataset: Dataset) -> dict[date, Decimal]:
    live = Segment.objects.filter(dataset=dataset, rows__gt=0)
    return {one.day: Decimal(one.totals["EUR"]["billed"]["sum"]) for one in live}


def test_marks_are_read_until_none_remain(dataset: Dataset) -> None:
    source = MemorySource(charge(FIRST + DAY * n) for n in range(5))
    marks = MemoryMarks(*sorted(source.days()))
    assert build_touched(marks, builder(dataset, source), budget=LONG) == 5
    assert marks.marks == []
    assert len(published(dataset)) == 5


def test_a_run_is_bounded_and_leaves_the_marks_that_came_meanwhile(dataset: Dataset) -> None:
    class Busy(MemorySource):
        def documents(self, period: Period) -> Iterator[Mapping[str, Any]]:
            marks.marks.append(mark(FIRST))
            return super().documents(period)

    source = Busy(charge(FIRST + DAY * n) for n in range(5))
    marks = MemoryMarks(*sorted(source.days()))
    assert build_touched(marks, builder(dataset, source), budget=timedelta(0)) == 5
    assert len(marks.marks) == len(source.asked)


def test_a_day_that_many_marks_name_is_built_once(dataset: Dataset) -> None:
    source = MemorySource(charge(FIRST + DAY * n) for n in range(2))
    marks = MemoryMarks(*sorted(source.days()) * 20)
    assert build_touched(marks, builder(dataset, source), budget=LONG) == 2
    assert len(source.asked) == len({period.start for period in source.asked})
    assert marks.marks == []


def test_a_long_build_keeps_its_claim(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(at=timezone.now())
    monkeypatch.setattr("finops.segments.touched.timezone", SimpleNamespace(now=lambda: clock.at))
    monkeypatch.setattr("finops.segments.touched._DOCUMENTS_PER_LOOK", 1)

    class Slow(MemorySource):
        def documents(self, period: Period) -> Iterator[Mapping[str, Any]]:
            for one in super().documents(period):
                clock.at += CLAIM / 2
                assert Claim.of(dataset) is None
                yield one

    source = Slow(charge(FIRST, str(n)) for n in range(5))
    assert build_touched(MemoryMarks(FIRST), builder(dataset, source), budget=LONG) == 1
    assert Claim.of(dataset) is not None


def test_a_claim_that_was_lost_is_not_renewed(dataset: Dataset) -> None:
    lost = Claim.of(dataset)
    assert lost is not None
    now = timezone.now()
    lost.until = now
    Dataset.objects.update(claimed_until=now + timedelta(seconds=1))
    lost.renew()
    dataset.refresh_from_db()
    assert dataset.claimed_until == now + timedelta(seconds=1)


def test_a_mark_that_comes_while_its_day_is_built_stays_and_is_built_again(
    dataset: Dataset,
) -> None:
    marks = MemoryMarks(FIRST)

    class Changing(MemorySource):
        def documents(self, period: Period) -> Iterator[Mapping[str, Any]]:
            found = super().documents(period)
            if len(self.asked) == 1:
                self.rows.append(charge(FIRST, "10"))
                marks.marks.append(mark(FIRST))
            return found

    source = Changing([charge(FIRST, "1")])
    build_touched(marks, builder(dataset, source), budget=LONG)
    assert published(dataset) == {FIRST: Decimal(11)}
    assert marks.marks == []


def test_a_failure_leaves_the_marks_to_the_next_run(dataset: Dataset) -> None:
    class Broken(MemorySource):
        def documents(self, period: Period) -> Iterator[Mapping[str, Any]]:
            yield from super().documents(period)
            raise ConnectionError("the destination went away")

    marks = MemoryMarks(FIRST)
    with pytest.raises(ConnectionError):
        build_touched(marks, builder(dataset, Broken([charge(FIRST)])), budget=LONG)
    assert len(marks.marks) == 1
    assert published(dataset) == {}


def test_the_old_and_the_new_day_of_a_moved_document_are_built(dataset: Dataset) -> None:
    source = MemorySource([charge(FIRST)])
    builder(dataset, source).build([FIRST])
    source.rows = [charge(FIRST + DAY)]
    marks = MemoryMarks()
    marks.marks = [mark(FIRST, FIRST + DAY)]
    build_touched(marks, builder(dataset, source), budget=LONG)
    assert published(dataset) == {FIRST + DAY: Decimal(1)}


def test_the_charge_day_of_a_mark_is_its_utc_date(dataset: Dataset) -> None:
    source = MemorySource([charge(FIRST, ChargePeriodStart=f"{FIRST} 23:59:59")])
    marks = MemoryMarks()
    marks.marks = [Mark(ObjectId(), ({"ChargePeriodStart": aware(FIRST, 23)},))]
    build_touched(marks, builder(dataset, source), budget=LONG)
    assert published(dataset) == {FIRST: Decimal(1)}


def test_marks_without_a_date_are_no_days_and_do_not_stop_the_others(dataset: Dataset) -> None:
    source = MemorySource([charge(FIRST)])
    marks = MemoryMarks(FIRST)
    marks.marks.append(Mark(ObjectId(), ({"ChargePeriodStart": None},)))
    build_touched(marks, builder(dataset, source), budget=LONG)
    assert published(dataset) == {FIRST: Decimal(1)}
    assert marks.marks == []


def test_a_flow_that_does_not_mark_days_is_named(dataset: Dataset) -> None:
    marks = MemoryMarks()
    marks.marks = [Mark(ObjectId(), ({"SubAccountId": "a"},))]
    with pytest.raises(NotPartitionedByDay, match=r"Flow 'flow' marks \['SubAccountId'\]"):
        build_touched(marks, builder(dataset, MemorySource()), budget=LONG)
    assert len(marks.marks) == 1


def test_two_builders_share_no_data_set_at_the_same_time(dataset: Dataset) -> None:
    claim = Claim.of(dataset)
    assert claim is not None
    marks = MemoryMarks(FIRST)
    assert build_touched(marks, builder(dataset, MemorySource()), budget=LONG) == 0
    assert len(marks.marks) == 1
    claim.release()
    assert build_touched(marks, builder(dataset, MemorySource()), budget=LONG) == 1


def test_the_claim_of_a_killed_builder_runs_out(dataset: Dataset) -> None:
    Dataset.objects.update(claimed_until=timezone.now() - CLAIM)
    assert Claim.of(dataset) is not None


def test_a_claim_that_ran_out_is_not_given_back_for_another(dataset: Dataset) -> None:
    late = Claim.of(dataset)
    assert late is not None
    Dataset.objects.update(claimed_until=timezone.now() - CLAIM)
    Claim.of(dataset)
    late.release()
    assert Claim.of(dataset) is None


def test_after_a_failure_a_data_set_rests(dataset: Dataset) -> None:
    rest(dataset)
    dataset.refresh_from_db()
    assert resting(dataset)


def test_the_task_names_the_data_set_that_fails_and_goes_on(
    dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    other = Dataset.objects.create(name="other", flow="nobody")
    build_touched_segments()
    dataset.refresh_from_db()
    other.refresh_from_db()
    assert resting(dataset)
    assert resting(other)
    for name in ("costs", "other"):
        assert f"'dataset': '{name}'" in caplog.text
