"""The rows behind the explorer's figures: page by page, or all of them as a stream.

Pages are ranges: each begins after the last row of the one before, by charge day and id, so that
the thousandth page costs what the first does, and no row is skipped or shown twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from accounts.scopes import Scope
from finops.costs.engine import engine
from finops.costs.explore_sql import Source, source_of
from finops.costs.explore_visit import Visit, visit
from finops.costs.question import Question
from finops.costs.units import Unit
from finops.models import Dataset
from finops.segments.schema import CHARGE_DAY, COLUMNS, OTHER, TAGS, TIME

PAGE = 50
_CHUNK = 2_000  # rows of a stream that are in memory together

# Read as times without a zone, in UTC.
_TIMES = frozenset(column.name for column in COLUMNS if column.arrow == TIME)
COLUMN_NAMES: tuple[str, ...] = (CHARGE_DAY, *(column.name for column in COLUMNS), TAGS)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands: rows go from the latest charge day to the first, then by id."""

    day: date
    id: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the values of the columns that were asked for, in their order."""

    place: Place
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class RowsPage:
    """Some rows in order, and whether there are others before and after them."""

    unit: Unit
    rows: tuple[Row, ...]
    has_earlier: bool
    has_later: bool


def rows_page(
    dataset: Dataset,
    scope: Scope,
    question: Question,
    columns: Sequence[str],
    *,
    after: Place | None = None,
    before: Place | None = None,
) -> RowsPage:
    """The first rows of ``question``, or those after or before a place; no comparison is read.

    ``columns`` are of ``COLUMN_NAMES``; any other raises ValueError. Raises as ``explore`` does.
    """
    found = _rows_only(visit(dataset, scope, question))
    source = source_of(found.selection, found.manifest, engine(), rows=True)
    rows = [] if source is None else _read(source, columns, after, before)
    more = len(rows) > PAGE
    rows = rows[:PAGE]
    if before is not None:
        rows.reverse()
    backwards = before is not None
    return RowsPage(
        unit=found.unit,
        rows=tuple(rows),
        has_earlier=more if backwards else after is not None,
        has_later=backwards or more,
    )


def _rows_only(found: Visit) -> Visit:
    selection = replace(found.selection, periods=(found.frame.period,))
    return replace(found, selection=selection)


def _read(
    source: Source, columns: Sequence[str], after: Place | None, before: Place | None
) -> list[Row]:
    condition, parameters, order = "", {}, "charge_day DESC, document_id"
    if before is not None:
        condition = "AND (charge_day > $day OR (charge_day = $day AND document_id < $id))"
        parameters = {"day": before.day, "id": before.id}
        order = "charge_day, document_id DESC"
    elif after is not None:
        condition = "AND (charge_day < $day OR (charge_day = $day AND document_id > $id))"
        parameters = {"day": after.day, "id": after.id}
    found = engine().fetch(
        f"""
        SELECT charge_day, document_id, {_listed(columns)} FROM {source.sql} {condition}
        ORDER BY {order} LIMIT {PAGE + 1}
        """,  # noqa: S608 - from known columns and the constants of this module
        {**source.parameters, **parameters},
    )
    return [Row(Place(day, name), tuple(values)) for day, name, *values in found]


def _listed(columns: Sequence[str]) -> str:
    unknown = set(columns) - set(COLUMN_NAMES) - {OTHER}
    if unknown or not columns:
        raise ValueError(f"{len(unknown)} of the columns are none of the rows.")
    return ", ".join(
        f"make_timestamp(epoch_us({name}))" if name in _TIMES else name for name in columns
    )


def extra_columns(dataset: Dataset, scope: Scope, question: Question) -> tuple[str, ...]:
    """The columns that these rows have beyond the known ones, by name."""
    found = _rows_only(visit(dataset, scope, question))
    source = source_of(found.selection, found.manifest, engine(), rows=True)
    if source is None:
        return ()
    names = engine().fetch(
        f"SELECT DISTINCT unnest(map_keys({OTHER})) AS name FROM {source.sql} ORDER BY name",  # noqa: S608 - as above
        source.parameters,
    )
    return tuple(name for (name,) in names)


def stream_rows(
    dataset: Dataset, scope: Scope, question: Question, columns: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """Every row of ``question``, first day first; few are in memory at a time.

    What is published when the stream begins is what it gives to its end. Raises as ``explore``
    does, also half way.
    """
    found = _rows_only(visit(dataset, scope, question))
    for day in found.manifest.days:
        source = source_of(found.selection, found.manifest, engine(), rows=True, days=[day])
        last: str | None = "" if source is not None else None
        while source is not None and last is not None:
            rows = engine().fetch(
                f"""
                SELECT document_id, {_listed(columns)} FROM {source.sql}
                   AND charge_day = $day AND document_id > $last
                ORDER BY document_id LIMIT {_CHUNK}
                """,  # noqa: S608 - from known columns and the constants of this module
                {**source.parameters, "day": day.day, "last": last},
            )
            yield from (tuple(values) for _, *values in rows)
            last = rows[-1][0] if len(rows) == _CHUNK else None
