"""The values of a dimension as the page shows them, to be ticked."""

from dataclasses import dataclass, replace

from finops.costs.explore_values import Value, Values
from finops.costs.question import Question
from finops.explore.form import name_of
from finops.explore.links import explore_url
from finops.explore.query_string import FILTER, MOST_VALUES, pairs
from finops.formatting import Amount


@dataclass(frozen=True, slots=True)
class Box:
    """One value that can be ticked."""

    value: str
    label: str
    rows: str
    cost: Amount
    chosen: bool


@dataclass(frozen=True, slots=True)
class ValuesPage:
    """Everything that the choice of values shows. ``name`` is the parameter of its boxes."""

    dimension: str
    label: str
    name: str
    search: str
    boxes: tuple[Box, ...]
    remark: str
    most: int
    state: tuple[tuple[str, str], ...]
    back: str


def present_values(values: Values, question: Question, search: str) -> ValuesPage:
    """Turn values into what their page shows."""
    dimension = values.dimension
    others = replace(question, filters=question.unfiltered(dimension))
    return ValuesPage(
        dimension=dimension.key,
        label=dimension.label,
        name=f"{FILTER}{dimension.key}",
        search=search,
        boxes=tuple(_box(value, values.currency) for value in values.values),
        remark=_remark(values, search),
        most=MOST_VALUES,
        state=tuple(pairs(others)),
        back=explore_url(question),
    )


def _box(value: Value, currency: str) -> Box:
    return Box(
        value=value.text or "",
        label=name_of(value.text),
        rows="1 row" if value.rows == 1 else f"{value.rows:,} rows",
        cost=Amount(value.cost, currency),
        chosen=value.chosen,
    )


def _remark(values: Values, search: str) -> str:
    shown = sum(not value.chosen for value in values.values)
    if values.matching > shown:
        return f"The {shown:,} largest of {values.matching:,} values. Search for the others."
    if not shown and search:
        return f"No {'other ' if values.values else ''}value has “{search}” in it."
    return "" if values.values else "No row of this period has a value."
