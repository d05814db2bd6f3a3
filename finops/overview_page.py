"""The overview as its template shows it: every amount, label and drawing, ready to be placed."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.safestring import SafeString

from finops.charts.axis import Axis
from finops.charts.columns import Column, marks_sums, stacked_columns
from finops.charts.sparkline import sparkline
from finops.costs.metrics import Metric
from finops.costs.overview import (
    OTHER_COLOUR,
    Bucket,
    MetricTotal,
    Overview,
    Series,
    ServiceRow,
)
from finops.costs.units import CONVERTED, choice_of
from finops.formatting import (
    Amount,
    Change,
    Share,
    axis_money,
    change,
    compact_money,
    day,
    days,
)
from finops.outlook import WITHOUT_SERVICE, Outlook, outlook

CHART_HEADING = "chart-heading"  # the id of the element that names the chart


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry of a chooser."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Tile:
    """One key figure."""

    label: str
    amount: Amount
    change: Change | None
    comparison: str
    note: str


@dataclass(frozen=True, slots=True)
class SeriesTotal:
    """One entry of the legend, and the head of a column of the chart's table."""

    name: str
    colour: int
    total: Amount


@dataclass(frozen=True, slots=True)
class ChartRow:
    """One line of the chart's table: a period, its amount per series, their sum."""

    name: str
    amounts: tuple[Amount, ...]
    total: Amount


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """One line of the table by service. ``bar`` is the share's width in per cent, 0 to 100."""

    name: str
    colour: int
    trend: SafeString
    current: Amount
    previous: Amount | None
    change: Change | None
    total: Amount
    share: Share


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Everything that the template of the overview places."""

    version: int
    subtitle: str
    currency: str
    currencies: tuple[Choice, ...]
    metrics: tuple[Choice, ...]
    metric: str
    tiles: tuple[Tile, ...]
    chart: SafeString
    chart_heading: str
    marks_sums: bool
    partial: str
    span: str
    span_total: Amount
    legend: tuple[SeriesTotal, ...]
    chart_rows: tuple[ChartRow, ...]
    current: str
    previous: str
    steps: str
    services: tuple[ServiceLine, ...]
    apart: str
    outlook: Outlook


def present(overview: Overview) -> OverviewPage:
    """Turn the figures of an overview into what its page shows."""
    columns = _columns(overview)
    span_total = sum((column.total for column in columns), Decimal(0))
    return OverviewPage(
        version=overview.version,
        subtitle=(
            f"{days(overview.current.start, overview.current.end, year=True)}"
            f" · latest charges of {day(overview.anchor)}"
        ),
        currency=overview.currency,
        currencies=_currencies(overview),
        metrics=tuple(
            Choice(metric.value, metric.value.capitalize(), metric is overview.metric)
            for metric in Metric
        ),
        metric=overview.metric.label,
        tiles=tuple(_tile(total, overview) for total in overview.totals),
        chart=_chart(overview, columns),
        chart_heading=CHART_HEADING,
        marks_sums=marks_sums(columns),
        partial=_partial(overview),
        span=_span(overview),
        span_total=Amount(span_total, overview.currency),
        legend=tuple(
            SeriesTotal(
                _series_name(series),
                colour,
                Amount(sum(series.values, Decimal(0)), overview.currency),
            )
            for series, colour in zip(overview.series, _colours(overview.series), strict=True)
        ),
        chart_rows=tuple(_chart_row(column, overview.currency) for column in columns),
        current=days(overview.current.start, overview.current.end),
        previous=days(overview.previous.start, overview.previous.end),
        steps=_count(len(overview.buckets), overview.grain),
        services=tuple(_service_line(row, overview) for row in overview.services),
        apart=_apart(overview),
        outlook=outlook(overview),
    )


def _currencies(overview: Overview) -> tuple[Choice, ...]:
    chosen = choice_of(overview.unit)
    choices = [(code, code) for code in sorted(overview.currencies)]
    if overview.convertible:
        choices.append((CONVERTED, "All in USD"))
    return tuple(Choice(value, label, value == chosen) for value, label in choices)


def _apart(overview: Overview) -> str:
    """Why the page shows one currency, or how it comes to show all of them in one."""
    if overview.unit.converted:
        return (
            "Every currency, in the US dollars that Azure states beside each charge"
            " (x_BilledCostInUsd and its like). A charge without them is not in the sums."
        )
    others = sorted(set(overview.currencies) - {overview.currency})
    if not others:
        return ""
    way = (
        " Choose “All in USD” for the US dollars that Azure states." if overview.convertible else ""
    )
    return (
        f"Charges in {', '.join(others)} are not in these sums: amounts of different currencies"
        f" cannot be added, and the data has no exchange rate between them.{way}"
    )


def _tile(total: MetricTotal, overview: Overview) -> Tile:
    current = days(overview.current.start, overview.current.end)
    previous = days(overview.previous.start, overview.previous.end)
    if total.previous is None:
        comparison = f"{current}, no earlier data"
    elif total.change is None:
        comparison = f"{current}, nothing in {previous}"
    else:
        comparison = f"{current} against {previous}"
    note = ""
    if total.missing_rows:
        subject = "1 row has" if total.missing_rows == 1 else f"{total.missing_rows:,} rows have"
        where = " in US dollars" if overview.unit.converted else ""
        note = f"{subject} no {total.metric.label.lower()}{where}"
    return Tile(
        label=total.metric.label,
        amount=Amount(total.current, overview.currency),
        change=change(current=total.current, previous=total.previous, fraction=total.change),
        comparison=comparison,
        note=note,
    )


def _service_line(row: ServiceRow, overview: Overview) -> ServiceLine:
    currency = overview.currency
    # A month that has not ended would make every trend end in a fall.
    ended = -1 if len(row.trend) > 1 and _partial(overview) else None
    return ServiceLine(
        name=row.service if row.service is not None else WITHOUT_SERVICE,
        colour=row.colour,
        trend=sparkline(row.trend[:ended]),
        current=Amount(row.current, currency),
        previous=Amount(row.previous, currency) if row.previous is not None else None,
        change=change(current=row.current, previous=row.previous, fraction=row.change),
        total=Amount(row.total, currency),
        share=Share(row.share),
    )


def _columns(overview: Overview) -> tuple[Column, ...]:
    by_day = overview.grain == "day"
    return tuple(
        Column(
            name=f"{bucket.label}, to {day(overview.anchor)}"
            if _has_days_ahead(bucket, overview)
            else bucket.label,
            tick=str(bucket.start.day) if by_day else f"{bucket.start:%b}",
            era=f"{bucket.start:%b %Y}" if by_day else str(bucket.start.year),
            values=tuple(series.values[index] for series in overview.series),
            partial=_has_days_ahead(bucket, overview),
        )
        for index, bucket in enumerate(overview.buckets)
    )


def _has_days_ahead(bucket: Bucket, overview: Overview) -> bool:
    return bucket.end > overview.current.end


def _partial(overview: Overview) -> str:
    """Name the period that has not ended, if the last one has not."""
    last = overview.buckets[-1]
    if not _has_days_ahead(last, overview):
        return ""
    return f"{last.label} holds {days(last.start, overview.current.end)} only"


def _chart(overview: Overview, columns: Sequence[Column]) -> SafeString:
    currency = overview.currency

    def tick_label(tick: Decimal, axis: Axis) -> str:
        return axis_money(tick, largest=axis.largest, step=axis.step, currency=currency)

    return stacked_columns(
        columns,
        colours=_colours(overview.series),
        tick_label=tick_label,
        value_label=lambda value: compact_money(value, currency),
        labelled_by=CHART_HEADING,
    )


def _chart_row(column: Column, currency: str) -> ChartRow:
    return ChartRow(
        name=column.name,
        amounts=tuple(Amount(value, currency) for value in column.values),
        total=Amount(column.total, currency),
    )


def _colours(series: Sequence[Series]) -> list[int]:
    return [OTHER_COLOUR if one.other else index for index, one in enumerate(series)]


def _series_name(series: Series) -> str:
    return series.name if series.name is not None else WITHOUT_SERVICE


def _span(overview: Overview) -> str:
    """Name the time that the chart covers, up to the latest charge day."""
    first, last = overview.buckets[0], overview.buckets[-1]
    end = min(last.end, overview.current.end)
    whole = first.start.day == 1 and overview.grain == "month" and end == last.end
    if whole:
        return first.label if first == last else f"{first.label} – {last.label}"
    return days(first.start, end, year=True)


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
