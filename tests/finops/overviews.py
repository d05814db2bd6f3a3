"""Overviews of made-up figures, for the tests of what shows them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from finops.costs.metrics import Metric
from finops.costs.overview import (
    OTHER_COLOUR,
    Bucket,
    Grain,
    MetricTotal,
    Overview,
    Series,
    ServiceRow,
    Unit,
)
from finops.costs.periods import (
    Period,
    month_start,
    month_to_date,
    months_before,
    same_days_of_month_before,
)

ANCHOR = date(2026, 10, 20)
Costs = Mapping[str | None, Sequence[Decimal | int | str]]


def month_buckets(anchor: date = ANCHOR, count: int = 13) -> tuple[Bucket, ...]:
    starts = [months_before(month_start(anchor), back) for back in range(count - 1, -1, -1)]
    return tuple(Bucket(f"{day:%b %Y}", day, months_before(day, -1)) for day in starts)


def day_buckets(anchor: date = ANCHOR, count: int = 20) -> tuple[Bucket, ...]:
    days = [anchor - timedelta(days=back) for back in range(count - 1, -1, -1)]
    return tuple(Bucket(f"{day.day} {day:%b %Y}", day, day + timedelta(days=1)) for day in days)


def make_overview(
    costs: Costs,
    *,
    currency: str = "EUR",
    currencies: tuple[str, ...] = ("EUR",),
    metric: Metric = Metric.EFFECTIVE,
    grain: Grain = "month",
    other: Sequence[Decimal | int | str] | None = None,
    totals: tuple[MetricTotal, ...] | None = None,
    anchor: date = ANCHOR,
    version: int = 7,
    unit: Unit | None = None,
    convertible: bool = False,
) -> Overview:
    """An overview of ``costs``: service to its cost per bucket, the last bucket being current."""
    exact = {name: tuple(Decimal(value) for value in values) for name, values in costs.items()}
    count = len(next(iter(exact.values())))
    buckets = (month_buckets if grain == "month" else day_buckets)(anchor, count)
    rest = (Series("Other", tuple(Decimal(v) for v in other), other=True),) if other else ()
    series = tuple(Series(name, values) for name, values in exact.items()) + rest
    grand = sum((sum(one.values, Decimal(0)) for one in series), Decimal(0))
    rows = tuple(
        _row(one, OTHER_COLOUR if one.other else index, grand) for index, one in enumerate(series)
    )
    return Overview(
        dataset="azure",
        version=version,
        unit=unit or Unit(currency),
        currencies=currencies,
        convertible=convertible,
        metric=metric,
        anchor=anchor,
        current=month_to_date(anchor),
        previous=same_days_of_month_before(anchor),
        totals=totals or tuple(_total(one, series) for one in Metric),
        grain=grain,
        buckets=buckets,
        series=series,
        services=rows,
        projection=None,
        movers=(),
        commitments=None,
        rows=50_000,
        built_at=datetime(2026, 10, 20, 6, tzinfo=UTC),
    )


def period(start: str, end: str) -> Period:
    return Period(date.fromisoformat(start), date.fromisoformat(end))


def _row(series: Series, colour: int, grand: Decimal) -> ServiceRow:
    current = series.values[-1]
    previous = series.values[-2] if len(series.values) > 1 else None
    total = sum(series.values, Decimal(0))
    return ServiceRow(
        service=series.name,
        colour=colour,
        current=current,
        previous=previous,
        change=(current - previous) / previous if previous else None,
        total=total,
        share=total / grand if grand > 0 else None,
        trend=series.values,
    )


def _total(metric: Metric, series: Sequence[Series]) -> MetricTotal:
    current = sum((one.values[-1] for one in series), Decimal(0))
    previous = (
        sum((one.values[-2] for one in series), Decimal(0)) if len(series[0].values) > 1 else None
    )
    return MetricTotal(
        metric=metric,
        current=current,
        previous=previous,
        change=(current - previous) / previous if previous else None,
        missing_rows=0,
    )
