"""The data page as its template shows it: where the data is from, what it lacks, what is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from accounts.scopes import Scope
from finops.costs.coverage import FEWEST_MONTHS, LIMIT, METRIC, Coverage, Jump, coverage
from finops.costs.engine import engine
from finops.costs.kept import Kept
from finops.costs.metrics import Metric
from finops.costs.published import Published, published
from finops.costs.reconciliation import Held, Key, by_billing_month
from finops.formatting import Amount, day, days
from finops.freshness import Freshness, age, dataset_freshness
from finops.import_history import DefectLine, Fact, ImportLine, Remark, imports, kept
from finops.importing.journal import ImportState
from finops.models import Dataset, ImportedMonth, Reconciliation
from finops.reconciliation import told_by_manifests

# Both read the roll-ups of every day.
_coverages: Kept[list[Coverage]] = Kept(64)
_shown: Kept[dict[Key, Held]] = Kept(8)


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One billing month and currency: what was imported against what the pages show."""

    month: str
    currency: str
    rows_source: str
    rows_here: str
    cost_source: Amount | None
    cost_here: Amount
    remark: Remark


@dataclass(frozen=True, slots=True)
class CoverageLine:
    """One charge month and currency."""

    month: str
    currency: str
    rows: str
    cost: Amount
    days: int
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class DataPage:
    """One data set. What concerns all rows is None for people who see a part of them."""

    name: str
    freshness: Freshness
    facts: tuple[Fact, ...]
    sources: tuple[SourceLine, ...] | None
    reconciled: Remark | None
    coverage: tuple[CoverageLine, ...]
    kept: tuple[DefectLine, ...] | None
    imports: tuple[ImportLine, ...] | None
    limit: float = LIMIT
    fewest: int = FEWEST_MONTHS
    metric: str = METRIC.label.lower()


def present(dataset: Dataset, scope: Scope) -> DataPage:
    """Everything about one data set that somebody with ``scope`` may know.

    Raises CostQueryFailed.
    """
    manifest, fresh = published(dataset), dataset_freshness(dataset, scope)
    version = (dataset.pk, dataset.version, dataset.published_at)
    found = _coverages.get((*version, scope), lambda: coverage(manifest, scope, engine()))
    return DataPage(
        name=dataset.name,
        freshness=fresh,
        facts=_facts(dataset, fresh, found),
        sources=_sources(dataset, manifest) if scope.is_all else None,
        reconciled=_reconciled(dataset) if scope.is_all else None,
        coverage=tuple(map(_coverage_line, found)),
        kept=kept(dataset) if scope.is_all else None,
        imports=imports(dataset) if scope.is_all else None,
    )


def _facts(dataset: Dataset, fresh: Freshness, found: Sequence[Coverage]) -> tuple[Fact, ...]:
    rows = sum(line.rows for line in found)
    last = fresh.last_event_at
    return (
        Fact("Flow", dataset.flow),
        Fact("Rows on the pages", f"{rows:,}"),
        Fact("Latest charge day", day(fresh.latest_day) if fresh.latest_day else "none"),
        Fact(
            "Last change applied",
            f"{age(fresh.read_at - last)} ago" if last else "none since the copy",
        ),
        Fact("Behind its source", age(fresh.behind) if fresh.behind is not None else "not known"),
        Fact(
            "Figures last changed",
            f"{age(fresh.read_at - dataset.published_at)} ago" if dataset.published_at else "never",
        ),
    )


def _sources(dataset: Dataset, manifest: Published) -> tuple[SourceLine, ...]:
    """What manifests say against what is published, month by month."""
    months = list(ImportedMonth.objects.filter(dataset=dataset))
    version = (dataset.pk, dataset.version, dataset.published_at)
    here = _shown.get(version, lambda: by_billing_month(manifest, engine()))
    told = told_by_manifests(months)
    arriving: dict[date | None, list[ImportedMonth]] = {}
    for month in months:
        if not month.settled:
            arriving.setdefault(month.billing_period.replace(day=1), []).append(month)
    accepted = {month.billing_period.replace(day=1) for month in months if month.accepted}
    keys = sorted(told.keys() | here.keys(), key=lambda key: (key[0] or date.min, key[1]))
    return tuple(
        _source_line(
            key,
            told.get(key),
            here.get(key),
            arriving=arriving.get(key[0], []),
            accepted=key[0] in accepted,
        )
        for key in reversed(keys)
    )


def _source_line(
    key: Key,
    said: Held | None,
    shown: Held | None,
    *,
    arriving: Sequence[ImportedMonth],
    accepted: bool,
) -> SourceLine:
    month, currency = key
    billed = shown.sums[Metric.BILLED] if shown else Decimal(0)
    return SourceLine(
        month=f"{month:%b %Y}" if month else "no billing month",
        currency=currency,
        rows_source=f"{said.rows:,}" if said else "–",
        rows_here=f"{shown.rows:,}" if shown else "0",
        cost_source=Amount(said.sums[Metric.BILLED], currency) if said else None,
        cost_here=Amount(billed, currency),
        remark=_source_remark(said, shown, arriving, accepted),
    )


def _source_remark(
    said: Held | None, shown: Held | None, arriving: Sequence[ImportedMonth], accepted: bool
) -> Remark:
    if any(month.state == ImportState.IMPORTING for month in arriving):
        return Remark("import under way, or broken off: run it again", "warn")
    if arriving:
        # Of the billing accounts that have not arrived, all currencies together.
        here = sum(month.rows_here or 0 for month in arriving)
        of = sum(month.rows for month in arriving)
        return Remark(f"arriving: {here:,} of {of:,} rows", "warn")
    if said is None:
        return Remark("not imported here, nothing to compare", "plain")
    if shown is not None and said.rows == shown.rows and _close(said, shown):
        return Remark("agrees", "good")
    if accepted:
        return Remark("accepted as it is", "plain")
    return Remark("changed since its import", "warn")


def _close(one: Held, other: Held) -> bool:
    """Equal but for what 18 decimals cannot say."""
    slack = one.rows * Decimal("5e-19")
    return all(abs(one.sums[metric] - other.sums[metric]) <= slack for metric in Metric)


def _reconciled(dataset: Dataset) -> Remark:
    found = Reconciliation.objects.filter(dataset=dataset).first()
    if found is None:
        return Remark("Documents and pages have not been reconciled yet.", "plain")
    when = f"{found.made_at:%d %b %Y %H:%M} UTC"
    if found.agrees:
        return Remark(f"Documents, pages and imports agreed when compared on {when}.", "good")
    differing = {
        line["month"] or "no billing month" for line in found.lines if line["verdict"] == "differs"
    }
    listed = ", ".join(sorted(differing, reverse=True))
    return Remark(f"They did not agree when compared on {when}: {listed}.", "bad")


def _coverage_line(line: Coverage) -> CoverageLine:
    remarks = [_missing(line)] if line.missing else []
    remarks += [_jump(line, jump) for jump in line.jumps]
    return CoverageLine(
        month=f"{line.month:%b %Y}",
        currency=line.currency,
        rows=f"{line.rows:,}",
        cost=Amount(line.cost, line.currency),
        days=line.days,
        remarks=tuple(remarks),
    )


def _missing(line: Coverage) -> Remark:
    listed = ", ".join(days(period.start, period.end) for period in line.missing)
    return Remark(f"no rows on {listed}", "warn")


def _jump(line: Coverage, jump: Jump) -> Remark:
    what = "rows a day" if jump.of == "rows" else f"{METRIC.label.lower()} a day"
    if jump.times is None:
        return Remark(f"{what}: out of line with the other months", "warn")
    return Remark(f"{what}: {jump.times:.2g} times the usual", "warn")
