"""The rows behind the figures as their page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from finops.costs.dimensions import column_label
from finops.costs.explore import Answer
from finops.costs.explore_rows import COLUMN_NAMES, Place, Row, RowsPage
from finops.costs.metrics import Metric
from finops.costs.question import Question
from finops.costs.units import Unit
from finops.explore.form import Chip, chips_of
from finops.explore.links import explore_url, export_url
from finops.explore.query_string import Pairs, pairs
from finops.formatting import Amount, day, days, exact

USUAL = (
    "charge_day", "service_name", "resource_name", "sub_account_name", "charge_category",
    "charge_description", "billed_cost", "effective_cost",
)  # fmt: skip
MOST_COLUMNS = 30
_COSTS = {metric.column for metric in Metric}


@dataclass(frozen=True, slots=True)
class Cell:
    """One value as text; ``amount`` in its place for costs."""

    text: str
    number: bool
    amount: Amount | None = None


@dataclass(frozen=True, slots=True)
class ColumnBox:
    """One column that can be ticked."""

    name: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class RowsView:
    """Everything that the template of the rows places."""

    subtitle: str
    count: str
    total: Amount
    metric: str
    heads: tuple[tuple[str, bool], ...]  # a label, and whether numbers stand below it
    rows: tuple[tuple[Cell, ...], ...]
    boxes: tuple[ColumnBox, ...]
    chips: tuple[Chip, ...]
    state: tuple[tuple[str, str], ...]
    back: str
    focus: str
    first: str
    earlier: str
    later: str
    version: int


def columns_of(query: QueryDict) -> tuple[str, ...]:
    """The columns that a query string asks for, in the order of the data; else the usual ones."""
    asked = set(query.getlist("column"))
    known = tuple(name for name in COLUMN_NAMES if name in asked)
    return known[:MOST_COLUMNS] or USUAL


def place_of(text: str) -> Place | None:
    """The place that a link names; None where it names none."""
    start, _, identifier = text.partition("~")
    try:
        return Place(date.fromisoformat(start), identifier) if identifier else None
    except ValueError:
        return None


def present_rows(
    answer: Answer, page: RowsPage, question: Question, columns: Sequence[str]
) -> RowsView:
    """Turn rows into what their page shows; ``answer`` has their number and their cost."""
    state = pairs(question)
    own = [] if tuple(columns) == USUAL else [("column", name) for name in columns]
    period = answer.frame.period
    return RowsView(
        subtitle=f"{days(period.start, period.end, year=True)}, the latest day first",
        count="1 row" if answer.total.rows == 1 else f"{answer.total.rows:,} rows",
        total=Amount(answer.total.cost, answer.currency),
        metric=question.metric.label,
        heads=tuple(
            (column_label(name), _is_number(page.rows, at)) for at, name in enumerate(columns)
        ),
        rows=tuple(
            tuple(
                _cell(value, name, page.unit)
                for value, name in zip(row.values, columns, strict=True)
            )
            for row in page.rows
        ),
        boxes=tuple(ColumnBox(name, column_label(name), name in columns) for name in COLUMN_NAMES),
        chips=chips_of(question),
        state=tuple(state),
        back=explore_url(question),
        focus=export_url(question, "explore-focus"),
        first=_address([*state, *own]) if page.has_earlier else "",
        earlier=_address([*state, *own, ("before", _text(page.rows[0].place))])
        if page.has_earlier and page.rows
        else "",
        later=_address([*state, *own, ("after", _text(page.rows[-1].place))])
        if page.has_later and page.rows
        else "",
        version=answer.version,
    )


def _address(parameters: Pairs) -> str:
    return f"{reverse('finops:explore-rows')}?{urlencode(parameters)}"


def _text(place: Place) -> str:
    return f"{place.day}~{place.id}"


def _is_number(rows: Sequence[Row], at: int) -> bool:
    return any(isinstance(row.values[at], Decimal) for row in rows)


def _cell(value: Any, name: str, unit: Unit) -> Cell:
    match value:
        case None:
            return Cell("–", name in _COSTS)
        case Decimal() if name in _COSTS and not unit.converted:
            amount = Amount(value, unit.currency)
            return Cell(amount.text, True, amount)
        case Decimal():
            return Cell(exact(value), True)
        case datetime():
            return Cell(f"{day(value.date())} {value:%H:%M}", False)
        case date():
            return Cell(day(value), False)
        case dict():
            return Cell(", ".join(f"{key}: {text}" for key, text in sorted(value.items())), False)
        case _:
            return Cell(str(value), False)
