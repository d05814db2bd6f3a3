"""The explorer's SQL: the rows that a question is about, and their sums by group and step."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from accounts.scopes import Scope
from finops.costs.buckets import Grain
from finops.costs.dimensions import Dimension, expression, needs_rows
from finops.costs.engine import Engine
from finops.costs.explore_frame import Frame
from finops.costs.periods import Period
from finops.costs.published import Kind, Published, PublishedDay
from finops.costs.question import MOST_GROUPS, Basis, Filter
from finops.costs.units import IN_UNIT, Unit
from finops.costs.visible import filter_of
from finops.segments.schema import SegmentSchema, configured_schema
from finops.segments.schema import missing as missing_of

Key = tuple[str | None, ...]
_FEW_STEPS = 31

_MOMENT = {
    Basis.CHARGE: "charge_day",
    Basis.BILLING: "make_timestamp(epoch_us(billing_period_start))::DATE",
}
_STEP: dict[Grain, str] = {"day": "moment", "month": "date_trunc('month', moment)::DATE"}


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows within a scope, of one unit, of some periods, that pass the filters."""

    scope: Scope
    unit: Unit
    basis: Basis
    periods: tuple[Period, ...]
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A FROM clause with its WHERE, and how it is read. ``kind`` says what one line of it is."""

    sql: str
    parameters: dict[str, Any]
    kind: Kind
    columns: SegmentSchema | None

    @property
    def count(self) -> str:
        """SQL that counts rows of the data."""
        return 'sum("rows")' if self.kind == "rollup" else "count(*)"

    def missing(self, measure: str) -> str:
        """SQL that counts rows of the data in which ``measure`` is null."""
        if self.kind == "rollup":
            return f"sum({missing_of(measure)})"
        return f"count(*) - count({measure})"


def source_of(
    selection: Selection,
    manifest: Published,
    engine: Engine,
    *,
    dimensions: Sequence[Dimension] = (),
    rows: bool = False,
    days: Sequence[PublishedDay] | None = None,
    monthly_before: date | None = None,
) -> Source | None:
    """Where to read the selection: the roll-up, or the rows where only they have what is asked.

    ``dimensions`` are those that the query uses beside the filters' own; ``rows`` asks for the
    rows anyway; ``days`` are the only ones to read; ``monthly_before`` is as ``Published.scan`` has
    it. None where no day of the periods is published.
    """
    live = list(manifest.days if days is None else days)
    if selection.basis is Basis.CHARGE:  # whereas a charge may be billed in any month
        live = [day for day in live if any(day.day in period for period in selection.periods)]
    if not live:
        return None
    columns = schema_of(live)
    used = [*dimensions, *(one.dimension for one in selection.filters)]
    kind: Kind = "rows" if rows or any(needs_rows(one, columns) for one in used) else "rollup"
    scan = manifest.scan(kind, live, engine.store, monthly_before=monthly_before)
    conditions, parameters = _conditions(selection, columns)
    return Source(
        f"{scan.sql} WHERE {' AND '.join(conditions)}",
        {**scan.parameters, **parameters},
        kind,
        columns,
    )


def schema_of(days: Sequence[PublishedDay]) -> SegmentSchema | None:
    """The configured schema, where all ``days`` were built with it; else None."""
    schema = configured_schema()
    return schema if all(day.schema == schema.fingerprint for day in days) else None


def _conditions(
    selection: Selection, columns: SegmentSchema | None
) -> tuple[list[str], dict[str, Any]]:
    within = filter_of(selection.scope)
    parameters: dict[str, Any] = {
        **within.parameters,
        **selection.unit.parameters,
    }
    conditions = [IN_UNIT, within.sql]
    moment = _MOMENT[selection.basis]
    ranges = []
    for number, period in enumerate(selection.periods):
        ranges.append(f"({moment} >= $start{number} AND {moment} < $end{number})")
        parameters |= {f"start{number}": period.start, f"end{number}": period.end}
    conditions.append(f"({' OR '.join(ranges)})")
    for number, one in enumerate(selection.filters):
        value = expression(one.dimension, columns, f"filter_key{number}")
        parameters |= value.parameters
        name = f"filter{number}"
        parameters[name] = sorted(text for text in one.values if text is not None)
        chosen = f"{value.sql} IN (SELECT unnest(${name}::VARCHAR[]))"
        if None in one.values:
            chosen = f"({chosen} OR {value.sql} IS NULL)"
        conditions.append(chosen)
    return conditions, parameters


@dataclass(frozen=True, slots=True)
class Cell:
    """The sums of one group in one step, or of all groups beyond the largest (``key`` None)."""

    place: int  # the group's number by size, from 1 on
    key: Key | None
    step: date
    in_current: bool
    in_previous: bool
    amount: Decimal
    missing: int
    rows: int
    groups: int  # how many groups there are


def read_cells(
    source: Source,
    frame: Frame,
    engine: Engine,
    *,
    groups: tuple[Dimension, ...],
    measure: str,
    top: int,
) -> list[Cell]:
    """A measure's sums for the ``top`` largest groups and for all others together, step by step.

    A group's size is that of its cost, or of its cost before where that is larger, whatever the
    sign: so a large credit, and a large cost that is gone, are seen. Raises CostQueryFailed.
    """
    keys, parameters = _keys(source, groups)
    before = frame.previous or Period(frame.period.start, frame.period.start)
    found = engine.fetch(
        _sql(source, frame, keys, measure),
        {
            **source.parameters,
            **parameters,
            "top": top,
            "current_start": frame.period.start,
            "current_end": frame.period.end,
            "previous_start": before.start,
            "previous_end": before.end,
        },
    )
    return [_cell(row, len(groups), top) for row in found]


def _sql(source: Source, frame: Frame, keys: str, measure: str) -> str:
    # Groups in few steps are summed once and kept. In many steps the groups of rows may be as many
    # as the rows: they are read twice instead, so that memory stays bounded.
    if source.kind == "rollup" or len(frame.buckets) <= _FEW_STEPS:
        kept, amount = "MATERIALIZED", f"sum({measure})"
        missing, count, grouped = source.missing(measure), source.count, "GROUP BY ALL"
    else:
        kept, amount = "NOT MATERIALIZED", measure
        missing, count, grouped = f"({measure} IS NULL)::INTEGER", "1", ""
    return f"""
    WITH chosen AS (
        SELECT *, {_MOMENT[frame.basis]} AS moment FROM {source.sql}
    ), cells AS {kept} (
        SELECT {keys}, {_STEP[frame.grain]} AS step,
               moment >= $current_start AND moment < $current_end AS in_current,
               moment >= $previous_start AND moment < $previous_end AS in_previous,
               {amount} AS amount, {missing} AS missing, {count} AS n
        FROM chosen {grouped}
    ), sized AS (
        SELECT g0, g1,
               greatest(abs(coalesce(sum(amount) FILTER (in_current), 0)),
                        abs(coalesce(sum(amount) FILTER (in_previous), 0))) AS size
        FROM cells GROUP BY g0, g1
    ), placed AS MATERIALIZED (
        SELECT g0, g1,
               row_number() OVER (ORDER BY size DESC, g0 NULLS LAST, g1 NULLS LAST) AS place,
               count(*) OVER () AS groups
        FROM sized
    )
    SELECT least(placed.place, $top + 1) AS place, any_value(placed.groups),
           first(placed.g0), first(placed.g1), step, in_current, in_previous,
           sum(amount), sum(missing), sum(n)
    FROM cells JOIN placed
      ON cells.g0 IS NOT DISTINCT FROM placed.g0 AND cells.g1 IS NOT DISTINCT FROM placed.g1
    GROUP BY least(placed.place, $top + 1), step, in_current, in_previous
    """  # noqa: S608 - from known columns and the constants of this module


def _cell(row: tuple[Any, ...], groups: int, top: int) -> Cell:
    place, count, first, second, step, in_current, in_previous, amount, missing, rows = row
    return Cell(
        place=place,
        key=(first, second)[:groups] if place <= top else None,
        step=step,
        in_current=in_current,
        in_previous=in_previous,
        # A sum without any value is null in SQL; its rows count as missing.
        amount=amount if isinstance(amount, Decimal) else Decimal(0),
        missing=int(missing),
        rows=int(rows),
        groups=count,
    )


def _keys(source: Source, groups: tuple[Dimension, ...]) -> tuple[str, dict[str, Any]]:
    """The groups' columns ``g0`` and ``g1``: null where a question has fewer."""
    parts: list[str] = []
    parameters: dict[str, Any] = {}
    for number in range(MOST_GROUPS):
        if number < len(groups):
            value = expression(groups[number], source.columns, f"group_key{number}")
            parameters |= value.parameters
            parts.append(f"{value.sql} AS g{number}")
        else:
            parts.append(f"NULL::VARCHAR AS g{number}")
    return ", ".join(parts), parameters
