"""The figures of the overview: one query over the roll-up, added up exactly."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

from accounts.scopes import Scope
from finops.costs.buckets import Bucket, Grain
from finops.costs.engine import Engine
from finops.costs.metrics import Metric
from finops.costs.periods import Period
from finops.costs.published import Published
from finops.costs.units import IN_UNIT, Unit
from finops.costs.visible import filter_of
from finops.segments.values import EXACT

LARGEST_SERVICES = 7
OTHER_COLOUR = LARGEST_SERVICES
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class MetricTotal:
    """One metric, month to date, in the overview's currency."""

    metric: Metric
    current: Decimal
    previous: Decimal | None  # None where the data has nothing before the current period
    change: Decimal | None  # (current - previous) / previous; None if previous is None or 0
    missing_rows: int  # rows of the current period in which the metric is null: not in the sum


@dataclass(frozen=True, slots=True)
class Series:
    """One service's cost per bucket."""

    name: str | None  # None: the rows without a service
    values: tuple[Decimal, ...]
    other: bool = False  # True for the last one where it sums the services beyond the largest


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One line of the table by service, for the chosen metric."""

    service: str | None
    colour: int  # the index of its series; OTHER_COLOUR for those that the chart sums as Other
    current: Decimal
    previous: Decimal | None
    change: Decimal | None
    total: Decimal  # over all buckets
    share: Decimal | None  # of all services' total; None where that is not positive
    trend: tuple[Decimal, ...]  # per bucket


@dataclass(frozen=True, slots=True)
class Question:
    """What the overview asks of the roll-up."""

    scope: Scope
    unit: Unit
    metric: Metric
    grain: Grain
    buckets: tuple[Bucket, ...]
    current: Period
    previous: Period | None  # None where the data has nothing before the current period


@dataclass(frozen=True, slots=True)
class Figures:
    """The answer to a Question."""

    totals: tuple[MetricTotal, ...]
    series: tuple[Series, ...]
    services: tuple[ServiceRow, ...]
    month_before: Decimal | None  # the whole of it, in the chosen metric; None as ``previous``


@dataclass(frozen=True, slots=True)
class _Cell:
    """One service in one bucket, before or within the compared periods."""

    bucket: date
    service: str | None
    in_current: bool
    in_previous: bool
    sums: dict[Metric, Decimal]
    missing: dict[Metric, int]


@dataclass(slots=True)
class _Service:
    """What is known of one service."""

    name: str | None
    trend: list[Decimal]
    current: Decimal = ZERO
    previous: Decimal = ZERO
    total: Decimal = field(default=ZERO)


_BUCKET: dict[Grain, str] = {"day": "charge_day", "month": "date_trunc('month', charge_day)::DATE"}
_METRICS = tuple(Metric)


def answer(question: Question, manifest: Published, engine: Engine) -> Figures:
    """Ask the roll-up. Raises CostQueryFailed."""
    cells = _cells(question, manifest, engine)
    with localcontext(EXACT):
        services = _by_service(question, cells)
        return Figures(
            totals=tuple(_total(metric, question, cells) for metric in Metric),
            series=_series(services),
            services=_service_rows(services, compared=question.previous is not None),
            month_before=_month_before(question, cells),
        )


def _month_before(question: Question, cells: Iterable[_Cell]) -> Decimal | None:
    if question.previous is None:
        return None
    month = (question.previous.start.year, question.previous.start.month)
    return sum_of(
        cell.sums[question.metric]
        for cell in cells
        if (cell.bucket.year, cell.bucket.month) == month
    )


def _cells(question: Question, manifest: Published, engine: Engine) -> list[_Cell]:
    period = Period(question.buckets[0].start, question.current.end)
    # The compared periods end within a month; what lies before them is shown by whole months.
    compared_from = (question.previous or question.current).start
    scan = manifest.rollup(
        period,
        engine.store,
        monthly_before=compared_from if question.grain == "month" else None,
    )
    within = filter_of(question.scope)
    unit = question.unit
    sums = ", ".join(
        [f"sum({unit.column(metric)})" for metric in _METRICS]
        + [f"sum({unit.missing_column(metric)})" for metric in _METRICS]
    )
    # Without a previous period the comparison's range is empty.
    previous = question.previous or Period(period.start, period.start)
    found = engine.fetch(
        f"""
        SELECT {_BUCKET[question.grain]} AS bucket, service_name,
               charge_day >= $current_start AS in_current,
               charge_day >= $previous_start AND charge_day < $previous_end AS in_previous,
               {sums}
        FROM {scan.sql}
        WHERE charge_day >= $start AND charge_day < $end
          AND {IN_UNIT}
          AND {within.sql}
        GROUP BY 1, 2, 3, 4
        """,  # noqa: S608 - from the constants above
        {
            **scan.parameters,
            **within.parameters,
            **unit.parameters,
            "start": period.start,
            "end": period.end,
            "current_start": question.current.start,
            "previous_start": previous.start,
            "previous_end": previous.end,
        },
    )
    return [_cell(*row) for row in found]


def _cell(
    bucket: date, service: str | None, in_current: bool, in_previous: bool, *figures: Any
) -> _Cell:
    sums, missing = figures[: len(_METRICS)], figures[len(_METRICS) :]
    # A sum without any value is null in SQL; the rows count as missing.
    amounts = [amount if isinstance(amount, Decimal) else ZERO for amount in sums]
    return _Cell(
        bucket,
        service,
        in_current,
        in_previous,
        dict(zip(_METRICS, amounts, strict=True)),
        dict(zip(_METRICS, missing, strict=True)),
    )


def _total(metric: Metric, question: Question, cells: Iterable[_Cell]) -> MetricTotal:
    current = previous = ZERO
    missing = 0
    for cell in cells:
        if cell.in_current:
            current += cell.sums[metric]
            missing += cell.missing[metric]
        elif cell.in_previous:
            previous += cell.sums[metric]
    compared = None if question.previous is None else previous
    return MetricTotal(metric, current, compared, change_of(current, compared), missing)


def _by_service(question: Question, cells: Iterable[_Cell]) -> list[_Service]:
    """Largest total first."""
    place = {bucket.start: position for position, bucket in enumerate(question.buckets)}
    found: dict[str | None, _Service] = {}
    for cell in cells:
        amount = cell.sums[question.metric]
        service = found.setdefault(cell.service, _Service(cell.service, [ZERO] * len(place)))
        service.trend[place[cell.bucket]] += amount
        service.total += amount
        if cell.in_current:
            service.current += amount
        elif cell.in_previous:
            service.previous += amount
    return sorted(found.values(), key=lambda s: (-s.total, s.name is None, s.name or ""))


def _series(services: Sequence[_Service]) -> tuple[Series, ...]:
    largest = tuple(Series(s.name, tuple(s.trend)) for s in services[:LARGEST_SERVICES])
    rest = [service.trend for service in services[LARGEST_SERVICES:]]
    if not rest:
        return largest
    return (*largest, Series("Other", tuple(map(sum_of, zip(*rest, strict=True))), other=True))


def _service_rows(services: Sequence[_Service], *, compared: bool) -> tuple[ServiceRow, ...]:
    everything = sum_of(service.total for service in services)
    return tuple(
        ServiceRow(
            service=service.name,
            colour=min(place, OTHER_COLOUR),
            current=service.current,
            previous=service.previous if compared else None,
            change=change_of(service.current, service.previous if compared else None),
            total=service.total,
            share=service.total / everything if everything > 0 else None,
            trend=tuple(service.trend),
        )
        for place, service in enumerate(services)
    )


def sum_of(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum, however many digits the amounts have."""
    with localcontext(EXACT):
        return sum(amounts, ZERO)


def change_of(current: Decimal, previous: Decimal | None) -> Decimal | None:
    """The change as a fraction of what was before; None where there is nothing to compare with.

    Of a negative amount before, the fraction is of its size, so that more cost is always a
    positive change.
    """
    if previous is None or previous == 0:
        return None
    with localcontext(EXACT):
        return (current - previous) / abs(previous)
