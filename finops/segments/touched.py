"""Rebuilds the charge days that replication marked as touched."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

import structlog
from django.db.models import Q
from django.utils import timezone

from finops.models import Dataset
from finops.segments.arrival import ImportGate
from finops.segments.builder import SegmentBuilder
from finops.segments.documents import CHARGE_PERIOD_START
from finops.segments.values import charge_day
from replication.status import Mark, clear_marks, touched_partitions

log = structlog.get_logger(__name__)

_MARKS_AT_ONCE = 1_000
# How long one builder's claim lasts, and how long a data set rests after a failure.
CLAIM = timedelta(seconds=15)


class NotPartitionedByDay(Exception):
    """The flow's marks do not tell charge days: the message says what to change."""


class Marks(Protocol):
    """Where touched days are announced."""

    def read(self) -> Sequence[Mark]:
        """The oldest marks, bounded in number."""
        ...

    def clear(self, marks: Sequence[Mark]) -> None:
        """Remove exactly these."""
        ...


@dataclass(frozen=True, slots=True)
class FlowMarks:
    """The marks of one replication flow."""

    flow: str

    def read(self) -> Sequence[Mark]:
        """The oldest marks, bounded in number."""
        return touched_partitions(self.flow, limit=_MARKS_AT_ONCE)

    def clear(self, marks: Sequence[Mark]) -> None:
        """Remove exactly these."""
        clear_marks(self.flow, marks)


def build_touched(marks: Marks, builder: SegmentBuilder, *, budget: timedelta) -> int:
    """Build marked days until no marks remain, or ``budget`` is used up; returns days built.

    Marks go only after the days that they name are published, so that a builder that is killed
    leaves them to the next. Does nothing while another process builds the same data set.
    """
    ends_at = time.monotonic() + budget.total_seconds()
    built = 0
    found = marks.read()
    while found and (claim := claim_dataset(builder.dataset)):
        days = touched_days(found, builder.dataset)
        builder.build(days)
        marks.clear(found)
        built += len(days)
        release(builder.dataset, claim)
        if time.monotonic() >= ends_at:
            break
        found = marks.read()
    return built


def build_released(gate: ImportGate, builder: SegmentBuilder) -> int:
    """Build the days that were held back and may be published now; returns how many.

    Does nothing while another process builds the same data set.
    """
    days = gate.released()
    if not days or not (claim := claim_dataset(builder.dataset)):
        return 0
    builder.build(days)
    gate.forget(days)
    release(builder.dataset, claim)
    return len(days)


def touched_days(marks: Iterable[Mark], dataset: Dataset) -> set[date]:
    """The charge days that ``marks`` name. Raises NotPartitionedByDay where they name none."""
    days: set[date] = set()
    undated = 0
    for mark in marks:
        for partition in mark.partitions:
            if CHARGE_PERIOD_START not in partition:
                raise NotPartitionedByDay(
                    f"Flow {dataset.flow!r} marks {sorted(partition)}; data set {dataset.name!r}"
                    f" needs {CHARGE_PERIOD_START!r} among the flow's partition fields."
                )
            day = charge_day(partition[CHARGE_PERIOD_START])
            if day is None:
                undated += 1
            else:
                days.add(day)
    if undated:
        # No page can show these: they belong to no day.
        log.warning("segments.undated_documents", dataset=dataset.name, marks=undated)
    return days


def resting(dataset: Dataset) -> bool:
    """Whether another process builds this data set, or it failed a moment ago."""
    return dataset.claimed_until is not None and dataset.claimed_until > timezone.now()


def claim_dataset(dataset: Dataset) -> datetime | None:
    """Claim for ``CLAIM``; None where somebody else's claim holds."""
    now = timezone.now()
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
    until = now + CLAIM
    claimed = Dataset.objects.filter(free, pk=dataset.pk).update(claimed_until=until)
    return until if claimed else None


def release(dataset: Dataset, claim: datetime) -> None:
    """Give a claim back, unless it ran out and is another's now."""
    Dataset.objects.filter(pk=dataset.pk, claimed_until=claim).update(claimed_until=None)


def rest(dataset: Dataset) -> None:
    """After a failure: look again when ``CLAIM`` has passed, not every second."""
    Dataset.objects.filter(pk=dataset.pk).update(claimed_until=timezone.now() + CLAIM)
