"""Which days the data lacks, and which months are out of line with the others."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from statistics import fmean, median

from accounts.scopes import Scope
from finops.costs.engine import Engine
from finops.costs.metrics import Metric
from finops.costs.periods import DAY, Period, month_start, months_before
from finops.costs.published import Published
from finops.costs.visible import filter_of
from finops.segments.rows import NO_CURRENCY

METRIC = Metric.EFFECTIVE  # amortised: a yearly purchase is no jump of its month
# Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993): the limit and both factors.
LIMIT = 3.5
_OF_MEDIAN_DEVIATION, _OF_MEAN_DEVIATION = 1.486, 1.253314
# Of fewer months nobody can say what is usual, and less than this is nothing to look at.
FEWEST_MONTHS = 5
SMALLEST_JUMP = 0.25


@dataclass(frozen=True, slots=True)
class Jump:
    """A month's daily average that is out of line. ``times`` is its multiple of the usual one."""

    of: str  # "rows" or "cost"
    usual: float
    times: float | None  # None where the usual is not above zero


@dataclass(frozen=True, slots=True)
class Coverage:
    """One charge month in one currency."""

    month: date
    currency: str
    rows: int
    cost: Decimal  # METRIC, exact
    days: int  # with rows
    missing: tuple[Period, ...]  # days without rows, within the data's first and last day
    jumps: tuple[Jump, ...]


@dataclass(slots=True)
class _Month:
    rows: int
    cost: Decimal
    days: list[date]


def coverage(manifest: Published, scope: Scope, engine: Engine) -> list[Coverage]:
    """Every charge month of every currency within ``scope``, latest first.

    Raises CostQueryFailed.
    """
    found = _by_day(manifest, scope, engine)
    return [
        line
        for currency in sorted(found, key=lambda one: (-_rows(found[one]), one))
        for line in coverage_of(currency, found[currency])
    ]


def coverage_of(currency: str, days: Mapping[date, tuple[int, Decimal]]) -> list[Coverage]:
    """The months of one currency from its rows and costs by day, latest first."""
    span = Period(min(days), max(days) + DAY)
    months: dict[date, _Month] = defaultdict(lambda: _Month(0, Decimal(0), []))
    for day, (rows, cost) in days.items():
        month = months[month_start(day)]
        month.rows += rows
        month.cost += cost
        month.days.append(day)
    starts = _starts(span)
    jumps = _jumps([months[start] for start in starts])
    return [
        Coverage(
            month=start,
            currency=currency,
            rows=months[start].rows,
            cost=months[start].cost,
            days=len(months[start].days),
            missing=_missing(start, span, set(months[start].days)),
            jumps=out_of_line,
        )
        for start, out_of_line in zip(reversed(starts), reversed(jumps), strict=True)
    ]


def _jumps(months: Sequence[_Month]) -> list[tuple[Jump, ...]]:
    """What of each month's daily averages is out of line with those of the others."""
    found: list[list[Jump]] = [[] for _ in months]
    known = [(i, month) for i, month in enumerate(months) if month.days]
    for name, values in (
        ("rows", [month.rows / len(month.days) for _, month in known]),
        ("cost", [float(month.cost) / len(month.days) for _, month in known]),
    ):
        usual = median(values)
        for (place, _), value in zip(known, values, strict=True):
            if abs(score(value, values)) > LIMIT and abs(value - usual) > SMALLEST_JUMP * abs(
                usual
            ):
                found[place].append(Jump(name, usual, value / usual if usual > 0 else None))
    return [tuple(one) for one in found]


def score(value: float, values: Sequence[float]) -> float:
    """How far ``value`` is from the median of ``values``, in robust standard deviations; signed.

    (value - median) / (1.486 MAD), MAD being the median of the absolute deviations from the median;
    where more than half of the values are equal and MAD is 0, (value - median) / (1.253314 MeanAD).
    0 where all are equal, and of fewer than ``FEWEST_MONTHS`` values. Source: Iglewicz and Hoaglin.
    """
    if len(values) < FEWEST_MONTHS:
        return 0.0
    middle = median(values)
    deviations = [abs(one - middle) for one in values]
    spread = _OF_MEDIAN_DEVIATION * median(deviations)
    if spread == 0:
        spread = _OF_MEAN_DEVIATION * fmean(deviations)
    return (value - middle) / spread if spread else 0.0


def _missing(start: date, span: Period, days: set[date]) -> tuple[Period, ...]:
    """The runs of days of a month that have no row."""
    runs: list[Period] = []
    day, end = max(start, span.start), min(months_before(start, -1), span.end)
    while day < end:
        if day not in days:
            if runs and runs[-1].end == day:
                runs[-1] = Period(runs[-1].start, day + DAY)
            else:
                runs.append(Period(day, day + DAY))
        day += DAY
    return tuple(runs)


def _starts(span: Period) -> list[date]:
    """Every month of a span, oldest first."""
    starts = [month_start(span.start)]
    while starts[-1] < month_start(span.last):
        starts.append(months_before(starts[-1], -1))
    return starts


def _rows(days: Mapping[date, tuple[int, Decimal]]) -> int:
    return sum(rows for rows, _ in days.values())


def _by_day(
    manifest: Published, scope: Scope, engine: Engine
) -> dict[str, dict[date, tuple[int, Decimal]]]:
    if manifest.span is None or scope.is_nothing:
        return {}
    scan, within = manifest.rollup(manifest.span, engine.store), filter_of(scope)
    found = engine.fetch(
        f"""
        SELECT coalesce(nullif(billing_currency, ''), $no_currency), charge_day, sum("rows"),
               coalesce(sum({METRIC.column}), 0)
        FROM {scan.sql}
        WHERE {within.sql}
        GROUP BY 1, 2
        """,  # noqa: S608 - from the constants above
        {**scan.parameters, **within.parameters, "no_currency": NO_CURRENCY},
    )
    days: dict[str, dict[date, tuple[int, Decimal]]] = {}
    for currency, day, rows, cost in found:
        days.setdefault(currency, {})[day] = (int(rows), cost)
    return days
