"""The explorer's chart: the largest lines of the table, step by step, and all others as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape

from django.utils.safestring import SafeString, mark_safe

from finops.charts.axis import Axis
from finops.charts.columns import Column, marks_sums, stacked_columns
from finops.costs.buckets import Bucket
from finops.costs.explore import Answer
from finops.costs.explore_sql import Key
from finops.costs.figures import LARGEST_SERVICES as LARGEST
from finops.costs.figures import OTHER_COLOUR, sum_of
from finops.explore.form import name_of
from finops.formatting import Amount, axis_money, compact_money, days
from finops.overview_page import CHART_HEADING, ChartRow, SeriesTotal


@dataclass(frozen=True, slots=True)
class Chart:
    """The drawing, its legend, and the table of its figures."""

    drawing: SafeString
    heading_id: str
    marks_sums: bool
    before: str  # names what each column is compared with, empty where nothing is
    cut: str  # names the steps that have not all of their days
    legend: tuple[SeriesTotal, ...]
    rows: tuple[tuple[ChartRow, Amount | None], ...]  # and the amount before
    colours: Mapping[Key | None, int]  # of each line of the answer

    @property
    def table(self) -> SafeString:
        """The body of the table of figures.

        Written here: it has hundreds of cells, and a template takes longer for them than for all
        the rest of the page.
        """
        # What is not an amount's own element is escaped.
        return mark_safe("".join(_row(row, before) for row, before in self.rows))  # noqa: S308


@dataclass(frozen=True, slots=True)
class _Series:
    name: str
    colour: int
    steps: tuple[Decimal, ...]
    cost: Decimal


def _row(row: ChartRow, before: Amount | None) -> str:
    cells = [f'<td class="number">{before.html}</td>'] if before is not None else []
    for amount in row.amounts:
        name = "number" if amount.value else "number none"
        cells.append(f'<td class="{name}">{amount.html}</td>')
    total = f'<td class="number total">{row.total.html}</td>'
    return f'<tr><th scope="row">{escape(row.name)}</th>{"".join(cells)}{total}</tr>'


def draw(answer: Answer) -> Chart:
    """Draw an answer; its table adds up to the answer's total, step by step."""
    series, colours = _series(answer)
    columns = _columns(answer, series)
    currency = answer.currency
    return Chart(
        drawing=_drawing(answer, series, columns),
        heading_id=CHART_HEADING,
        marks_sums=marks_sums(columns),
        before=_before(answer),
        cut="; ".join(_name(one, answer) for one in answer.frame.buckets if _is_cut(one, answer)),
        legend=tuple(
            SeriesTotal(one.name, one.colour, Amount(one.cost, currency)) for one in series
        ),
        rows=tuple(
            (
                ChartRow(
                    name=column.name,
                    amounts=tuple(Amount(value, currency) for value in column.values),
                    total=Amount(total, currency),
                ),
                Amount(column.before, currency) if column.before is not None else None,
            )
            for column, total in zip(columns, answer.total.steps, strict=True)
        ),
        colours=colours,
    )


def _before(answer: Answer) -> str:
    previous = answer.frame.previous
    if previous is None:
        return ""
    spans_years = previous.start.year != answer.frame.period.last.year
    return f"Before, {days(previous.start, previous.end, year=spans_years)}"


def _series(answer: Answer) -> tuple[list[_Series], dict[Key | None, int]]:
    """The largest lines, and all others as one; the colour of each line."""
    by_size = sorted(answer.lines, key=lambda line: -abs(line.cost))
    largest = sorted(by_size[:LARGEST], key=lambda line: -line.cost)
    others = [*by_size[LARGEST:], *([answer.rest] if answer.rest else [])]
    colours: dict[Key | None, int] = {line.key: OTHER_COLOUR for line in answer.lines}
    series = []
    for number, line in enumerate(largest):
        colours[line.key] = number
        name = " · ".join(map(name_of, line.key or ())) or answer.question.metric.label
        series.append(_Series(name, number, line.steps, line.cost))
    if others:
        count = sum(line.groups for line in others)
        steps = tuple(map(sum_of, zip(*(line.steps for line in others), strict=True)))
        cost = sum_of(line.cost for line in others)
        series.append(_Series(f"Other ({count:,})", OTHER_COLOUR, steps, cost))
    return series, colours


def _columns(answer: Answer, series: Sequence[_Series]) -> tuple[Column, ...]:
    by_day = answer.frame.grain == "day"
    return tuple(
        Column(
            name=_name(bucket, answer),
            tick=str(bucket.start.day) if by_day else f"{bucket.start:%b}",
            era=f"{bucket.start:%b %Y}" if by_day else str(bucket.start.year),
            values=tuple(one.steps[index] for one in series),
            partial=_is_cut(bucket, answer),
            before=answer.previous_steps[index] if answer.previous_steps is not None else None,
        )
        for index, bucket in enumerate(answer.frame.buckets)
    )


def _name(bucket: Bucket, answer: Answer) -> str:
    if not _is_cut(bucket, answer):
        return bucket.label
    end = min(bucket.end, answer.data.end)
    return f"{bucket.label}, {days(bucket.start, end)} only" if bucket.start < end else bucket.label


def _is_cut(bucket: Bucket, answer: Answer) -> bool:
    """Whether it has not all days of its month, by the period or because they are ahead."""
    if answer.frame.grain == "day" or answer.question.basis != "charge":
        return False
    whole = bucket.start.day == 1 and bucket.end.day == 1
    return not whole or bucket.start < answer.data.end < bucket.end


def _drawing(answer: Answer, series: Sequence[_Series], columns: Sequence[Column]) -> SafeString:
    currency = answer.currency

    def tick_label(tick: Decimal, axis: Axis) -> str:
        return axis_money(tick, largest=axis.largest, step=axis.step, currency=currency)

    return stacked_columns(
        columns,
        colours=[one.colour for one in series],
        tick_label=tick_label,
        value_label=lambda value: compact_money(value, currency),
        labelled_by=CHART_HEADING,
    )
