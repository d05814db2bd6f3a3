"""Where the explorer's links lead: each is the question that is shown, changed in one thing."""

from dataclasses import replace
from functools import cache
from urllib.parse import quote

from django.urls import get_script_prefix, reverse

from finops.costs.dimensions import DIMENSIONS, Dimension
from finops.costs.explore_sql import Key
from finops.costs.question import TOPS, Order, Question
from finops.explore.query_string import render

# What a closer look at a value goes on to.
_NEXT = {
    "provider_name": "service_category",
    "service_category": "service_name",
    "service_name": "resource_name",
    "x_resource_group_name": "resource_name",
    "resource_type": "resource_name",
}
_CHAIN = ("service_name", "resource_name", "charge_description")


def explore_url(question: Question) -> str:
    """The page that answers ``question``."""
    return _with_query("explore", question)


def rows_url(question: Question) -> str:
    """The rows of ``question``."""
    return _with_query("explore-rows", question)


def export_url(question: Question, name: str) -> str:
    """A file of ``question``: ``name`` is the URL's, such as ``explore-csv``."""
    return _with_query(name, question)


def values_url(question: Question, dimension: Dimension) -> str:
    """The values to filter by, of one dimension."""
    return f"{_with_query('explore-values', question)}&dimension={quote(dimension.key, safe='')}"


def without_filter(question: Question, dimension: Dimension) -> str:
    """The page without the filter on ``dimension``."""
    return explore_url(replace(question, filters=question.unfiltered(dimension)))


def sorted_by(question: Question, order: Order) -> str:
    """The page sorted by ``order``: the other way round where it is sorted by that already.

    Amounts begin with the largest, names with the first letter.
    """
    first = order is Order.NAME
    ascending = not question.ascending if question.order is order else first
    return explore_url(replace(question, order=order, ascending=ascending))


def narrowed(question: Question, key: Key) -> Question:
    """The question about one group alone: its values become filters."""
    for dimension, value in zip(question.groups, key, strict=True):
        question = replace(question, filters=question.filtered(dimension, frozenset({value})))
    return question


def drilled(question: Question, key: Key) -> str | None:
    """A closer look at one group: by the next finer dimension; None where there is none."""
    finer = _finer(question)
    if finer is None or not key:
        return None
    return explore_url(
        replace(narrowed(question, key), groups=(finer,), order=Order.COST, ascending=False)
    )


def with_more_groups(question: Question) -> str | None:
    """The page with more groups of their own; None where it has as many as there can be."""
    larger = next((top for top in TOPS if top > question.top), None)
    return explore_url(replace(question, top=larger)) if larger else None


def _finer(question: Question) -> Dimension | None:
    used = {one.dimension.key for one in question.filters if len(one.values) == 1}
    used |= {dimension.key for dimension in question.groups}
    last = question.groups[-1].key if question.groups else ""
    chain = (_NEXT.get(last, ""), *_CHAIN)
    return next((DIMENSIONS[key] for key in chain if key and key not in used), None)


def _with_query(name: str, question: Question) -> str:
    return f"{_address(name, get_script_prefix())}?{render(question)}"


@cache
def _address(name: str, _prefix: str) -> str:
    """A page has two links a line, and looking an address up takes longer than the query does."""
    return reverse(f"finops:{name}")
