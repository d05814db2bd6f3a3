"""An answer as the explorer's template shows it: chart, table, and where each line leads."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from django.utils.safestring import SafeString

from finops.charts.sparkline import sparkline
from finops.costs.explore import Answer, Line
from finops.costs.figures import OTHER_COLOUR, sum_of
from finops.costs.question import Comparison, Order, Question
from finops.explore.chart import Chart, draw
from finops.explore.form import name_of
from finops.explore.links import (
    drilled,
    explore_url,
    export_url,
    narrowed,
    rows_url,
    sorted_by,
    with_more_groups,
)
from finops.explore.query_string import render
from finops.formatting import Amount, Change, Share, change, day, days

_TREND_POINTS = 32  # a sparkline has no room for more
NO_GROUP = "All costs"


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column of the table. ``sorted`` is ARIA's word, empty where it is not."""

    label: str
    url: str
    sorted: str
    number: bool


@dataclass(frozen=True, slots=True)
class TableLine:
    """One line of the table. ``drill`` and ``rows`` are addresses, empty where there is none."""

    names: tuple[str, ...]
    span: int  # how many columns a single name takes
    colour: int | None
    drill: str
    rows: str
    trend: SafeString
    cost: Amount
    previous: Amount | None
    difference: Amount | None
    change: Change | None
    share: Share
    count: str


@dataclass(frozen=True, slots=True)
class ExplorePage:
    """Everything that the template of the explorer places."""

    version: int
    heading: str
    span: str
    subtitle: str
    total: TableLine
    comparison: str
    compared: bool
    notes: tuple[str, ...]
    is_empty: bool
    chart: Chart
    heads: tuple[Head, ...]
    table: str
    is_paired: bool
    trend: str
    lines: tuple[TableLine, ...]
    rest: TableLine | None
    more: str
    rows: str
    csv: str
    xlsx: str
    focus: str
    grain: str
    query: str
    fresh: str


def present(answer: Answer) -> ExplorePage:
    """Turn an answer into what its page shows."""
    question = answer.question
    chart = draw(answer)
    return ExplorePage(
        version=answer.version,
        heading=_heading(question),
        span=days(answer.frame.period.start, answer.frame.period.end, year=True),
        subtitle=_subtitle(answer),
        total=_table_line(answer.total, answer, colour=None, names=("Total",)),
        comparison=_comparison(answer),
        compared=answer.frame.previous is not None,
        notes=tuple(_notes(answer)),
        is_empty=not answer.lines,
        chart=chart,
        heads=tuple(_heads(answer)),
        table=_by(question) or "Costs",
        is_paired=len(question.groups) > 1,
        trend=f"By {answer.frame.grain}",
        lines=tuple(
            _table_line(
                line,
                answer,
                colour=chart.colours[line.key],
                names=tuple(map(name_of, line.key or ())) or (NO_GROUP,),
            )
            for line in answer.lines
        ),
        rest=_rest(answer),
        more=with_more_groups(question) or "" if answer.rest else "",
        rows=rows_url(question),
        csv=export_url(question, "explore-csv"),
        xlsx=export_url(question, "explore-xlsx"),
        focus=export_url(question, "explore-focus"),
        grain=answer.frame.grain,
        query=render(question),
        fresh=explore_url(Question()),
    )


def _heading(question: Question) -> str:
    running = ", running sum" if question.cumulative else ""
    by = _by(question)
    return f"{question.metric.label}{f' {_lower(by)}' if by else ''}{running}"


def _by(question: Question) -> str:
    by = " and ".join(_lower(one.label) for one in question.groups)
    return f"By {by}" if by else ""


def _lower(label: str) -> str:
    """As it stands within a sentence: SKU stays SKU."""
    return label if label[:2].isupper() else label[0].lower() + label[1:]


def _subtitle(answer: Answer) -> str:
    period = answer.frame.period
    basis = "" if answer.question.basis == "charge" else " · by billing period"
    text = f"{days(period.start, period.end, year=True)}{basis}"
    return f"{text} · latest charges of {day(answer.data.last)}"


def _comparison(answer: Answer) -> str:
    previous = answer.frame.previous
    if previous is None:
        return ""
    spans_years = previous.start.year != answer.frame.period.last.year
    return days(previous.start, previous.end, year=spans_years)


def _notes(answer: Answer) -> Iterator[str]:
    number, previous = answer.total.missing_rows, answer.frame.previous
    if number:
        subject = "1 row has" if number == 1 else f"{number:,} rows have"
        yield f"{subject} no {answer.question.metric.label.lower()} and add nothing."
    if previous is not None and previous.start < answer.data.start:
        yield f"The data begins with {day(answer.data.start)}: the comparison is with less."
    if answer.unit.converted:
        yield "In the US dollars that Azure states; rows without them add nothing."
    if answer.question.grain == "day" and answer.frame.grain == "month":
        yield "So many days are shown by month."


def _heads(answer: Answer) -> list[Head]:
    question = answer.question
    names = [one.label for one in question.groups] or ["Costs"]
    heads = [_head(name, Order.NAME, question, number=False) for name in names[:1]]
    heads += [Head(name, "", "", number=False) for name in names[1:]]
    period = answer.frame.period
    spans_years = period.start.year != period.last.year
    heads.append(_head(days(period.start, period.end, year=spans_years), Order.COST, question))
    if answer.frame.previous is not None:
        heads.append(_head(_comparison(answer), Order.PREVIOUS, question))
        heads.append(_head("Difference", Order.DIFFERENCE, question))
        heads.append(_head("Change", Order.CHANGE, question))
    return heads


def _head(label: str, order: Order, question: Question, *, number: bool = True) -> Head:
    compared = question.comparison is not Comparison.NONE
    effective = question.order if compared or question.order is Order.NAME else Order.COST
    sorted_ = ("ascending" if question.ascending else "descending") if order is effective else ""
    return Head(label, sorted_by(question, order), sorted_, number)


def _table_line(
    line: Line, answer: Answer, *, colour: int | None, names: tuple[str, ...]
) -> TableLine:
    currency, question, key = answer.currency, answer.question, line.key
    whole = answer.total.cost
    share = line.cost / whole if whole > 0 else None
    return TableLine(
        names=names,
        span=max(len(question.groups), 1) if len(names) == 1 else 1,
        colour=colour,
        drill=drilled(question, key) or "" if key else "",
        rows=rows_url(narrowed(question, key)) if key is not None else "",
        trend=sparkline(_thinned(line.steps)),
        cost=Amount(line.cost, currency),
        previous=Amount(line.previous, currency) if line.previous is not None else None,
        difference=Amount(line.difference, currency) if line.difference is not None else None,
        change=change(current=line.cost, previous=line.previous, fraction=line.change),
        share=Share(share),
        count="1 row" if line.rows == 1 else f"{line.rows:,} rows",
    )


def _rest(answer: Answer) -> TableLine | None:
    if answer.rest is None:
        return None
    number = answer.rest.groups
    name = f"{number:,} other" if number == 1 else f"{number:,} others"
    return _table_line(answer.rest, answer, colour=OTHER_COLOUR, names=(name,))


def _thinned(steps: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
    """The course in as many points as a sparkline shows: neighbours are averaged."""
    width = -(-len(steps) // _TREND_POINTS)
    if width <= 1:
        return steps
    parts = [steps[start : start + width] for start in range(0, len(steps), width)]
    return tuple(sum_of(part) / len(part) for part in parts)
