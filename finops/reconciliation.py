"""Do the pages show what was imported? Rows and sums at three places, by month and currency.

The *manifest* says what an import wrote at the source, the *documents* are what has arrived at the
destination, and the *segments* are what pages read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.utils import timezone

from finops.costs.engine import engine
from finops.costs.metrics import Metric
from finops.costs.published import published
from finops.costs.reconciliation import Held, Key, by_billing_month
from finops.importing.journal import ImportState
from finops.importing.sums import RowSums, plain
from finops.models import Dataset, ImportedMonth, Reconciliation
from finops.segments.documents import DestinationDocuments
from finops.segments.rows import NO_CURRENCY

# A segment keeps 18 decimals: each row may differ by half of the last one.
_ROUNDING = Decimal("5e-19")


class Verdict(StrEnum):
    """What the comparison of one month and currency came to."""

    AGREES = "agrees"
    ARRIVING = "arriving"  # an import is under way, and the pages show what was before it
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Line:
    """One billing month and currency. ``manifest`` is None for months that no import wrote."""

    month: date | None
    currency: str
    documents: Held
    segments: Held
    manifest: Held | None
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """As ``Reconciliation.lines`` keeps it."""
        return {
            "month": None if self.month is None else f"{self.month:%Y-%m}",
            "currency": self.currency,
            "verdict": self.verdict.value,
            "documents": _to_json(self.documents),
            "segments": _to_json(self.segments),
            "manifest": None if self.manifest is None else _to_json(self.manifest),
        }


_NOTHING = Held(0, dict.fromkeys(Metric, Decimal(0)))


def reconcile(dataset: Dataset, documents: DestinationDocuments) -> list[Line]:
    """Compare, and keep the outcome for the data page. Reads every document once.

    Raises CostQueryFailed, and what the driver raises.
    """
    lines = compare(
        documents=_documents(documents.every_sum()),
        segments=by_billing_month(published(dataset), engine()),
        manifests=ImportedMonth.objects.filter(dataset=dataset),
    )
    Reconciliation.objects.update_or_create(
        dataset=dataset,
        defaults={
            "made_at": timezone.now(),
            "agrees": all(line.verdict is not Verdict.DIFFERS for line in lines),
            "lines": [line.to_json() for line in lines],
        },
    )
    return lines


def compare(
    *,
    documents: Mapping[Key, Held],
    segments: Mapping[Key, Held],
    manifests: Iterable[ImportedMonth],
) -> list[Line]:
    """One line per month and currency that any side knows, latest month first."""
    months = list(manifests)
    told = told_by_manifests(months)
    arriving = {month.billing_period.replace(day=1) for month in months if not month.settled}
    keys = documents.keys() | segments.keys() | told.keys()
    lines = []
    for month, currency in sorted(keys, key=_latest_first):
        here = documents.get((month, currency), _NOTHING)
        shown = segments.get((month, currency), _NOTHING)
        said = told.get((month, currency))
        agree = _same(here, shown) and (said is None or _same(here, said))
        verdict = Verdict.AGREES if agree else Verdict.DIFFERS
        if month in arriving:
            verdict = Verdict.ARRIVING
        lines.append(Line(month, currency, here, shown, said, verdict))
    return lines


def told_by_manifests(months: Iterable[ImportedMonth]) -> dict[Key, Held]:
    """What manifests say, added up over billing accounts; those under way say nothing yet."""
    told: dict[Key, Held] = {}
    for month in months:
        if month.state != ImportState.COMPLETE:
            continue
        for currency, part in month.totals.items():
            key = (month.billing_period.replace(day=1), currency or NO_CURRENCY)
            before = told.get(key, _NOTHING)
            told[key] = Held(
                before.rows + part["rows"],
                {m: before.sums[m] + Decimal(part[m.value]["sum"]) for m in Metric},
            )
    return told


def _documents(sums: Mapping[tuple[datetime | None, str], RowSums]) -> dict[Key, Held]:
    held: dict[Key, Held] = {}
    for (period, currency), part in sums.items():
        month = None if period is None else _utc(period).date().replace(day=1)
        key = (month, currency or NO_CURRENCY)
        before, found = held.get(key, _NOTHING), part.sums()
        held[key] = Held(
            before.rows + part.rows,
            {m: before.sums[m] + found[m.focus_column] for m in Metric},
        )
    return held


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC)


def _same(one: Held, other: Held) -> bool:
    slack = one.rows * _ROUNDING
    return one.rows == other.rows and all(
        abs(one.sums[metric] - other.sums[metric]) <= slack for metric in Metric
    )


def _latest_first(key: Key) -> tuple[int, str]:
    month, currency = key
    return (-month.toordinal() if month else 1, currency)


def _to_json(held: Held) -> dict[str, Any]:
    return {"rows": held.rows, **{m.value: plain(held.sums[m]) for m in Metric}}
