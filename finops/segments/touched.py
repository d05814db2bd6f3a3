"""Rebuilds the charge days that replication marked as touched."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, Protocol

import structlog
from django.db.models import Q
from django.utils import timezone

from finops.costs.periods import Period
from finops.models import Dataset
from finops.segments.arrival import ImportGate
from finops.segments.builder import SegmentBuilder
from finops.segments.documents import CHARGE_PERIOD_START, DocumentSource
from finops.segments.values import charge_day
from replication.status import Mark, clear_marks, touched_partitions

log = structlog.get_logger(__name__)

_MARKS_AT_ONCE = 1_000
_DOCUMENTS_PER_LOOK = 5_000  # well under a second
# How long one builder's claim lasts unless it is renewed, and a data set rests after a failure.
CLAIM = timedelta(seconds=15)


class NotPartitionedByDay(Exception):
    """The flow's marks do not tell charge days: the message says what to change."""


class Marks(Protocol):
    """Where touched days are announced."""

    def read(self, after: Mark | None = None) -> Sequence[Mark]:
        """The oldest marks that follow ``after``, bounded in number."""
        ...

    def clear(self, marks: Sequence[Mark]) -> None:
        """Remove exactly these."""
        ...


@dataclass(frozen=True, slots=True)
class FlowMarks:
    """The marks of one replication flow."""

    flow: str

    def read(self, after: Mark | None = None) -> Sequence[Mark]:
        """The oldest marks that follow ``after``, bounded in number."""
        return touched_partitions(self.flow, limit=_MARKS_AT_ONCE, after=after)

    def clear(self, marks: Sequence[Mark]) -> None:
        """Remove exactly these."""
        clear_marks(self.flow, marks)


def build_touched(marks: Marks, builder: SegmentBuilder, *, budget: timedelta) -> int:
    """Build marked days until no marks remain, or ``budget`` is used up; returns days built.

    All marks that there are when it begins are read first: those of a large copy name the same
    days again and again. They go only after the days that they name are published, so that a
    builder that is killed leaves them to the next. Does nothing while another process builds the
    same data set.
    """
    ends_at = time.monotonic() + budget.total_seconds()
    built = 0
    while marks.read() and (claim := Claim.of(builder.dataset)):
        days, read = _read_all(marks, builder.dataset)
        _build(builder, days, claim)
        marks.clear(read)
        built += len(days)
        claim.release()
        if time.monotonic() >= ends_at:
            break
    return built


def _read_all(marks: Marks, dataset: Dataset) -> tuple[set[date], list[Mark]]:
    """The days that the marks name, and the marks without what they name: there may be many."""
    days: set[date] = set()
    read: list[Mark] = []
    while found := marks.read(read[-1] if read else None):
        days |= touched_days(found, dataset)
        read += (Mark(mark.id, ()) for mark in found)
    return days, read


def build_released(gate: ImportGate, builder: SegmentBuilder) -> int:
    """Build the days that were held back and may be published now; returns how many.

    Does nothing while another process builds the same data set.
    """
    days = gate.released()
    if not days or not (claim := Claim.of(builder.dataset)):
        return 0
    _build(builder, days, claim)
    gate.forget(days)
    claim.release()
    return len(days)


def _build(builder: SegmentBuilder, days: Iterable[date], claim: "Claim") -> None:
    """Build, and let the claim last for as long as documents come."""
    replace(builder, source=_Claimed(builder.source, claim)).build(days)


@dataclass(frozen=True, slots=True)
class _Claimed:
    """The documents of ``source``; reading them renews the claim."""

    source: DocumentSource
    claim: "Claim"

    def documents(self, period: Period) -> Iterator[Mapping[str, Any]]:
        """The documents whose charge day lies in ``period``, in any order."""
        found = iter(self.source.documents(period))
        while batch := list(islice(found, _DOCUMENTS_PER_LOOK)):
            self.claim.renew()
            yield from batch

    def bounds(self) -> Period | None:
        """From the first to the last charge day; None where there is no document."""
        return self.source.bounds()


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


@dataclass(slots=True)
class Claim:
    """That one process builds a data set. It runs out by itself, for a killed process."""

    dataset: Dataset
    until: datetime

    @classmethod
    def of(cls, dataset: Dataset) -> "Claim | None":
        """Claim for ``CLAIM``; None where somebody else's claim holds."""
        now = timezone.now()
        free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
        until = now + CLAIM
        claimed = Dataset.objects.filter(free, pk=dataset.pk).update(claimed_until=until)
        return cls(dataset, until) if claimed else None

    def renew(self) -> None:
        """Claim for ``CLAIM`` from now; nothing while most of it is left, or where it is lost.

        Two builders at once lose nothing: the versions of days decide what is published.
        """
        now = timezone.now()
        if self.until - now < CLAIM * 2 / 3:
            self._change(now + CLAIM)

    def release(self) -> None:
        """Give the claim back, unless it ran out and is another's now."""
        self._change(None)

    def _change(self, until: datetime | None) -> None:
        mine = Dataset.objects.filter(pk=self.dataset.pk, claimed_until=self.until)
        if mine.update(claimed_until=until) and until is not None:
            self.until = until


def rest(dataset: Dataset) -> None:
    """After a failure: look again when ``CLAIM`` has passed, not every second."""
    Dataset.objects.filter(pk=dataset.pk).update(claimed_until=timezone.now() + CLAIM)
