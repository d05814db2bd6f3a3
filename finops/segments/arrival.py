"""Keeps half a month off the pages: what an import is changing is published when all of it is here.

An import announces at the source which charge days it is about to change (``importing.journal``).
The source is asked *after* the documents of a day were read and before they are published: whatever
part of an import those documents may hold, its announcement is older, so it is seen. Days that are
held back are remembered, and built when their months have settled.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol, cast

import structlog
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from finops.costs.periods import Period
from finops.importing.journal import ImportRecord, ImportState, Manifest, history_of, manifests_of
from finops.importing.sums import Totals
from finops.models import Dataset, HeldDay, ImportedMonth, ImportRun
from replication.status import FlowStatus, Namespace

log = structlog.get_logger(__name__)

# A look that finds a month incomplete is repeated after so many times what it took.
_PAUSE_PER_LOOK = 20
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(minutes=1)
# Where sums cannot be compared: the clocks of two machines differ by less.
_CLOCKS = timedelta(seconds=5)


class Gate(Protocol):
    """Which charge days may be published now."""

    def hold(self, period: Period) -> frozenset[date]:
        """The days of ``period`` that may not; each is remembered until it may."""
        ...


class OpenGate:
    """Every day may be published."""

    def hold(self, period: Period) -> frozenset[date]:
        """None."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class ImportGate:
    """Holds back the days of months whose latest import has not arrived in whole."""

    dataset: Dataset
    source: Namespace

    def hold(self, period: Period) -> frozenset[date]:
        """The days of ``period`` that belong to such months. May raise what the driver raises."""
        held = frozenset(day for day in self.unsettled_days() if day in period)
        now = timezone.now()
        HeldDay.objects.bulk_create(
            [HeldDay(dataset=self.dataset, day=day, held_at=now) for day in held],
            update_conflicts=True,
            unique_fields=["dataset", "day"],
            update_fields=["held_at"],
        )
        return held

    def unsettled_days(self) -> set[date]:
        """The charge days of every month that is not settled, as the source says now."""
        months = ImportedMonth.objects.filter(dataset=self.dataset)
        settled = dict(months.values_list("key", "settled_run"))
        return {
            day
            for manifest in manifests_of(self.source)
            if manifest.run != settled.get(manifest.id)
            for day in manifest.days
        }

    def released(self) -> dict[date, datetime]:
        """Days that were held back and may be published now, and when they were held back last."""
        waiting = HeldDay.objects.filter(dataset=self.dataset).values_list("day", "held_at")
        held = self.unsettled_days() if waiting else set()
        return {day: held_at for day, held_at in waiting if day not in held}

    def forget(self, days: dict[date, datetime]) -> None:
        """Forget days that have been published, unless they were held back again meanwhile."""
        for day, held_at in days.items():
            HeldDay.objects.filter(dataset=self.dataset, day=day, held_at=held_at).delete()


class Copy(Protocol):
    """What has arrived of a month."""

    def ensure_month_index(self) -> None:
        """Make months quick to find."""
        ...

    def month_rows(self, billing_account: str | None, billing_period: date) -> int:
        """How many rows."""
        ...

    def month_totals(self, billing_account: str | None, billing_period: date) -> Totals:
        """Rows, checksum and sums by currency."""
        ...


def waiting_for_imports(dataset: Dataset) -> bool:
    """Whether a month is known to be unsettled, or a day to be held back."""
    return _unsettled(dataset).exists() or HeldDay.objects.filter(dataset=dataset).exists()


def learn_of_imports(dataset: Dataset, source: Namespace) -> None:
    """Take over what the source says of its months and imports."""
    known = {month.key: month for month in ImportedMonth.objects.filter(dataset=dataset)}
    told = manifests_of(source)
    for manifest in told:
        month = known.get(manifest.id)
        if month is None or _facts(manifest).items() - _known(month, manifest).items():
            _take_over(dataset, manifest, month)
    ImportedMonth.objects.filter(dataset=dataset).exclude(
        key__in=[manifest.id for manifest in told]
    ).delete()
    _take_over_history(dataset, history_of(source))


def settle(dataset: Dataset, status: FlowStatus, copy: Copy) -> None:
    """Look which whole months have arrived, and settle those."""
    now = timezone.now()
    waiting = _unsettled(dataset).filter(state=ImportState.COMPLETE)
    if waiting and status.as_source:
        copy.ensure_month_index()
    for month in waiting:
        if not _take(month, now):
            continue
        begun = time.monotonic()
        here = _arrived(month, copy) if status.as_source else _passed(month, status)
        if here:
            month.settled_run = month.run
            log.info(
                "segments.import_arrived",
                dataset=dataset.name,
                month=month.name,
            )
        took = timedelta(seconds=time.monotonic() - begun)
        month.look_again_at = now + min(max(took * _PAUSE_PER_LOOK, _SHORTEST), _LONGEST)
        # Only while the run is still the one that was looked at.
        ImportedMonth.objects.filter(pk=month.pk, run=month.run).update(
            settled_run=month.settled_run,
            rows_here=month.rows_here,
            look_again_at=month.look_again_at,
        )


def _take(month: ImportedMonth, now: datetime) -> bool:
    """Whether it is time to look at a month, and no other process does."""
    due = Q(look_again_at__isnull=True) | Q(look_again_at__lte=now)
    same = ImportedMonth.objects.filter(due, pk=month.pk, run=month.run)
    return bool(same.update(look_again_at=now + _LONGEST))


def accept(dataset: Dataset, months: Iterable[ImportedMonth]) -> int:
    """Settle months as they are here, whatever their manifests say; returns how many were not."""
    accepted = 0
    for month in months:
        if not month.settled:
            same = ImportedMonth.objects.filter(pk=month.pk, run=month.run)
            accepted += same.update(settled_run=month.run, accepted=True)
            log.warning(
                "segments.import_accepted",
                dataset=dataset.name,
                month=month.name,
            )
    return accepted


def _unsettled(dataset: Dataset) -> QuerySet[ImportedMonth]:
    return ImportedMonth.objects.filter(dataset=dataset).exclude(settled_run=F("run"))


def _arrived(month: ImportedMonth, copy: Copy) -> bool:
    """Whether rows, sums and checksum are here as the manifest says. Counting comes first."""
    month.rows_here = copy.month_rows(month.billing_account, month.billing_period)
    if month.rows_here != month.rows:
        return False
    here = copy.month_totals(month.billing_account, month.billing_period)
    return here == cast(Totals, month.totals)


def _passed(month: ImportedMonth, status: FlowStatus) -> bool:
    """Whether the copy has passed the import's end: all that a filtered copy can tell."""
    if status.position_at is None or month.completed_at is None:
        return False
    return status.position_at >= month.completed_at + _CLOCKS


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {"run": manifest.run, "state": manifest.state, "completed_at": manifest.completed_at}


def _known(month: ImportedMonth, manifest: Manifest) -> dict[str, Any]:
    return {name: getattr(month, name) for name in _facts(manifest)}


def _take_over(dataset: Dataset, manifest: Manifest, known: ImportedMonth | None) -> None:
    """Write what the manifest says and nothing else: another process may be settling the month."""
    told = _facts(manifest) | {
        "billing_account": manifest.billing_account,
        "billing_period": manifest.billing_period.date(),
        "started_at": manifest.started_at,
        "totals": manifest.totals,
    }
    if known is None or known.run != manifest.run:
        told |= {"rows_here": None, "look_again_at": None, "accepted": False}
    ImportedMonth.objects.update_or_create(dataset=dataset, key=manifest.id, defaults=told)


def _take_over_history(dataset: Dataset, records: list[ImportRecord]) -> None:
    open_ones = ImportRun.objects.filter(dataset=dataset)
    ended = set(open_ones.exclude(state=ImportState.IMPORTING).values_list("run", flat=True))
    for record in records:
        if record.run not in ended:
            ImportRun.objects.update_or_create(
                dataset=dataset,
                run=record.run,
                defaults={
                    "state": record.state,
                    "started_at": record.started_at,
                    "ended_at": record.ended_at,
                    "files": record.files,
                    "outcome": record.outcome,
                    "defects": record.defects,
                },
            )
