"""The values of a dimension, to filter by: how many rows have each, what they cost, which match."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from django.core.cache import cache

from accounts.scopes import Scope
from finops.costs.dimensions import (
    TAG,
    Dimension,
    dimension_named,
    expression,
    is_tag_key,
    needs_rows,
)
from finops.costs.engine import CostQueryFailed, engine
from finops.costs.explore_sql import Selection, Source, schema_of, source_of
from finops.costs.explore_visit import visit
from finops.costs.periods import DAY, Period
from finops.costs.published import Kind, published
from finops.costs.question import Filter, Question
from finops.costs.visible import filter_of, visible
from finops.models import Dataset
from finops.segments.schema import configured_schema

MOST = 100  # values at a time; the search finds the others
_MOST_KEYS = 300
_RECENT = 31  # days in which tag keys are looked for
_KEYS_KEPT = 600  # seconds


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a dimension; None stands for the rows without one."""

    text: str | None
    rows: int
    cost: Decimal
    chosen: bool


@dataclass(frozen=True, slots=True)
class Values:
    """The chosen values and the largest others, and how many others match in all."""

    dimension: Dimension
    currency: str
    values: tuple[Value, ...]
    matching: int


def values_of(
    dataset: Dataset, scope: Scope, question: Question, dimension: Dimension, search: str = ""
) -> Values:
    """Values of the rows of ``question``, its filter on ``dimension`` itself left aside.

    ``search`` is text that a value holds, in any letter case. Chosen values are there whether they
    match or not, even where no row has them. Raises as ``explore`` does.
    """
    found = visit(dataset, scope, question)
    own = question.filter_on(dimension)
    chosen = own.values if own else frozenset()
    selection = Selection(
        scope=scope,
        unit=found.unit,
        basis=question.basis,
        periods=(found.frame.period,),
        filters=question.unfiltered(dimension),
    )
    source = source_of(
        selection,
        found.manifest,
        engine(),
        dimensions=[dimension],
        monthly_before=replace(found.frame, grain="month", previous=None).monthly_before,
    )
    values: list[Value] = []
    matching = 0
    if source is not None:
        measure = found.unit.column(question.metric)
        values, matching = _read(source, dimension, measure, chosen, search)
    absent = chosen - {value.text for value in values}
    values += [Value(text, 0, Decimal(0), True) for text in absent]
    return Values(
        dimension=dimension,
        currency=found.unit.currency,
        values=tuple(sorted(values, key=_order)),
        matching=matching,
    )


def _read(
    source: Source,
    dimension: Dimension,
    measure: str,
    chosen: frozenset[str | None],
    search: str,
) -> tuple[list[Value], int]:
    """The chosen values that there are and the largest others; how many others match."""
    value = expression(dimension, source.columns, "value_key")
    rows = engine().fetch(
        f"""
        WITH found AS (
            SELECT {value.sql} AS value, {source.count} AS n, sum({measure}) AS cost
            FROM {source.sql} GROUP BY 1
        ), marked AS (
            SELECT *, CASE WHEN value IS NULL THEN $chosen_none
                      ELSE value IN (SELECT unnest($chosen::VARCHAR[])) END AS chosen,
                   $search = '' OR contains(lower(coalesce(value, '')), $search) AS matches
            FROM found
        )
        SELECT value, n, cost, chosen, count(*) FILTER (matches AND NOT chosen) OVER ()
        FROM marked WHERE matches OR chosen
        ORDER BY chosen DESC, abs(coalesce(cost, 0)) DESC, value NULLS LAST
        LIMIT $most
        """,  # noqa: S608 - from known columns and the constants of this module
        {
            **source.parameters,
            **value.parameters,
            "chosen": sorted(text for text in chosen if text is not None),
            "chosen_none": None in chosen,
            "search": search.lower(),
            "most": MOST + len(chosen),
        },
    )
    values = [
        Value(text, int(n), cost or Decimal(0), bool(mine)) for text, n, cost, mine, _ in rows
    ]
    return values, int(rows[0][-1]) if rows else 0


def _order(value: Value) -> tuple[bool, Decimal, bool, str]:
    return (not value.chosen, -abs(value.cost), value.text is None, value.text or "")


def known_values(dataset: Dataset, scope: Scope, chosen: Filter) -> frozenset[str | None]:
    """Those values of a filter that any row within ``scope`` has, whenever it was charged.

    "No value" says nothing of any row, and stays. Raises CostQueryFailed.
    """
    manifest = published(dataset)
    texts = sorted(text for text in chosen.values if text is not None)
    unnamed = chosen.values & {None}
    if not texts or visible(manifest, scope, engine()) is None:
        return unnamed
    columns = schema_of(manifest.days)
    kind: Kind = "rows" if needs_rows(chosen.dimension, columns) else "rollup"
    scan = manifest.scan(kind, manifest.days, engine().store, monthly_before=date.max)
    within, value = filter_of(scope), expression(chosen.dimension, columns, "value_key")
    found = engine().fetch(
        f"""
        SELECT DISTINCT {value.sql} FROM {scan.sql}
        WHERE {within.sql} AND {value.sql} IN (SELECT unnest($texts::VARCHAR[]))
        """,  # noqa: S608 - from known columns and the constants above
        {**scan.parameters, **within.parameters, **value.parameters, "texts": texts},
    )
    return unnamed | {text for (text,) in found}


def tag_keys(dataset: Dataset, scope: Scope) -> tuple[str, ...]:
    """The tag keys of the latest rows within ``scope``, those of most rows first.

    Looked up anew after some minutes: a key that is too new for the list can be typed. Where the
    look-up fails, the keys are those that have columns.
    """
    name = f"tag-keys:{dataset.pk}:{hash(scope)}"
    kept: tuple[Scope, tuple[str, ...]] | None = cache.get(name)
    if kept is not None and kept[0] == scope:
        return kept[1]
    try:
        keys = _tag_keys(dataset, scope)
    except CostQueryFailed:
        return configured_schema().tag_keys
    cache.set(name, (scope, keys), _KEYS_KEPT)
    return keys


def _tag_keys(dataset: Dataset, scope: Scope) -> tuple[str, ...]:
    manifest = published(dataset)
    rows = visible(manifest, scope, engine())
    if rows is None:
        return ()
    recent = Period(rows.span.end - DAY * _RECENT, rows.span.end)
    scan = manifest.scan("rows", manifest.days_in(recent), engine().store)
    within = filter_of(scope)
    found = engine().fetch(
        f"""
        SELECT key FROM (SELECT unnest(map_keys(tags)) AS key FROM {scan.sql} WHERE {within.sql})
        GROUP BY key ORDER BY count(*) DESC, key LIMIT $most
        """,  # noqa: S608 - from the constants above
        {**scan.parameters, **within.parameters, "most": _MOST_KEYS},
    )
    return tuple(key for (key,) in found)


def tag_dimensions(dataset: Dataset, scope: Scope) -> tuple[Dimension, ...]:
    """The tag keys as dimensions, by name; a key that no URL can carry is left out."""
    keys = [key for key in tag_keys(dataset, scope) if is_tag_key(key)]
    return tuple(dimension_named(f"{TAG}{key}") for key in sorted(keys, key=str.casefold))
