"""Documents as Arrow tables: the rows of charge days, their roll-up and their totals.

Memory is bounded by ``ROWS_AT_ONCE`` and by the roll-up, however many documents a month has.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from finops.costs.metrics import Metric
from finops.focus import SAME_PROVIDER, Kind
from finops.segments import values
from finops.segments.decimals import amounts
from finops.segments.schema import (
    AMOUNT,
    CHARGE_DAY,
    COLUMNS,
    DOCUMENT_ID,
    KNOWN,
    OTHER,
    ROW_COUNT,
    TAGS,
    TEXT_MAP,
    TIME,
    SegmentColumn,
    SegmentSchema,
    missing,
    tag_column,
)
from finops.segments.values import Defect

Document = Mapping[str, Any]
CURRENCY = "billing_currency"
Defects = dict[date, Counter[str]]
# ISO 4217's code for "no currency": under it stand the rows without a BillingCurrency.
NO_CURRENCY = "XXX"
# Documents become Arrow columns in batches: some ten times smaller than as dictionaries.
_BATCH = 5_000
# About 100 MB, and a good size for what DuckDB reads or skips as a whole.
ROWS_AT_ONCE = 100_000


def read_rows(
    documents: Iterable[Document], schema: SegmentSchema, defects: Defects
) -> Iterator[pa.Table]:
    """Every document as a row, in tables of ``ROWS_AT_ONCE``, each sorted by day.

    Each document must have a date and time as its ChargePeriodStart. What cannot be kept as it is
    counts in ``defects``.
    """
    batches = _batches(iter(documents))
    return in_groups(_table(batch, schema, defects) for batch in batches)


def in_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of about ``ROWS_AT_ONCE``, each sorted by day."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= ROWS_AT_ONCE:
            yield pa.concat_tables(waiting).sort_by(CHARGE_DAY)
            waiting = []
    if any(map(len, waiting)):
        yield pa.concat_tables(waiting).sort_by(CHARGE_DAY)


def _batches(stream: Iterator[Document]) -> Iterator[list[Document]]:
    while batch := list(islice(stream, _BATCH)):
        yield batch


def _table(batch: Sequence[Document], schema: SegmentSchema, defects: Defects) -> pa.Table:
    starts = pa.array([document["ChargePeriodStart"] for document in batch], TIME)
    days = starts.cast(pa.date32())
    reader = _Reader(batch, days, defects)
    tags = reader.converted("Tags", values.tag_pairs)
    names = reader.names
    arrays = {
        CHARGE_DAY: days,
        DOCUMENT_ID: pa.array([str(document.get("_id")) for document in batch], pa.string()),
        **{column.name: reader.column(column) for column in COLUMNS},
        **{
            tag_column(key): pa.array(_tag_values(tags, key), pa.string())
            for key in schema.tag_keys
        },
        TAGS: pa.array([None if one is None else list(one.items()) for one in tags], TEXT_MAP),
        OTHER: pa.array([_other(document) for document in batch], TEXT_MAP)
        if names - KNOWN
        else pa.nulls(len(batch), TEXT_MAP),
    }
    return pa.table([arrays[name] for name in schema.rows.names], schema=schema.rows)


def _tag_values(tags: Sequence[Any], key: str) -> list[str | None]:
    """The values of a tag; an object without any tag is not nothing, and has none."""
    return [None if one is None else one.get(key) for one in tags]


def _other(document: Document) -> list[tuple[str, str | None]] | None:
    return [
        (str(name), values.json_text(value))
        for name, value in document.items()
        if name not in KNOWN
    ] or None


class _Reader:
    """Reads columns of a batch; counts defects by day."""

    def __init__(self, batch: Sequence[Document], days: pa.Array, defects: Defects) -> None:
        self.names: set[str] = set().union(*batch)
        self._batch = batch
        self._days = days
        self._defects = defects

    def column(self, column: SegmentColumn) -> pa.Array:
        """The column as it stands where every value has the right type, else value by value."""
        if column.focus not in self.names and column.focus not in SAME_PROVIDER:
            # Of all columns an export has about half.
            return pa.nulls(len(self._batch), column.arrow)
        found = [document.get(column.focus) for document in self._batch]
        if column.focus in SAME_PROVIDER:
            found = self._either(found, *SAME_PROVIDER)
        if column.kind in {Kind.JSON, Kind.KEY_VALUE}:
            return pa.array([values.json_text(value) for value in found], pa.string())
        try:
            if column.arrow == AMOUNT:
                return amounts(found)
            return pa.array(found, column.arrow)
        except (pa.ArrowInvalid, pa.ArrowTypeError, AttributeError):
            convert = _CONVERSIONS.get(column.arrow, values.text)
            return pa.array(self.converted(column.focus, convert), column.arrow)

    def _either(self, found: list[Any], *names: str) -> list[Any]:
        """What is null, from whichever of the columns is not."""
        return [
            value if value is not None else next(filter(None, map(document.get, names)), None)
            for value, document in zip(found, self._batch, strict=True)
        ]

    def converted(
        self, name: str, convert: Callable[[object], tuple[Any, Defect | None]]
    ) -> list[Any]:
        """The column's values one by one, each defect counted."""
        results = []
        for position, document in enumerate(self._batch):
            result, defect = convert(document.get(name))
            results.append(result)
            if defect is not None:
                day: date = self._days[position].as_py()
                self._defects.setdefault(day, Counter())[f"{defect}:{name}"] += 1
        return results


_CONVERSIONS: dict[pa.DataType, Callable[[object], tuple[Any, Defect | None]]] = {
    AMOUNT: values.amount,
    TIME: values.moment,
}


def roll_up(rows: pa.Table, schema: SegmentSchema) -> pa.Table:
    """Sums, and counts of nulls, per combination of dimensions; null is a group of its own."""
    nulls = pc.CountOptions(mode="only_null")
    grouped = rows.group_by(list(schema.dimensions), use_threads=False).aggregate(
        [
            ([], "count_all"),
            *((name, "sum") for name in schema.measures),
            *((name, "count", nulls) for name in schema.measures),
        ]
    )
    names = {"count_all": ROW_COUNT}
    names |= {f"{name}_sum": name for name in schema.measures}
    names |= {f"{name}_count": missing(name) for name in schema.measures}
    renamed = grouped.rename_columns([names.get(name, name) for name in grouped.column_names])
    return renamed.select(schema.rollup.names).cast(schema.rollup).sort_by(CHARGE_DAY)


def join_rollups(rollups: Sequence[pa.Table], schema: SegmentSchema) -> pa.Table:
    """The roll-up of all rows, from those of its parts."""
    if not rollups:
        return schema.rollup.empty_table()
    if len(rollups) == 1:
        return rollups[0]
    joined = add_up(pa.concat_tables(rollups), schema.dimensions, schema)
    return joined.select(schema.rollup.names).cast(schema.rollup).sort_by(CHARGE_DAY)


def add_up(rollup: pa.Table, dimensions: Sequence[str], schema: SegmentSchema) -> pa.Table:
    """The sums of a roll-up per combination of fewer dimensions, or of the same."""
    summed = [ROW_COUNT, *schema.measures, *map(missing, schema.measures)]
    grouped = rollup.group_by(list(dimensions), use_threads=False).aggregate(
        [(name, "sum") for name in summed]
    )
    names = {f"{name}_sum": name for name in summed}
    return grouped.rename_columns([names.get(name, name) for name in grouped.column_names])


Totals = dict[str, dict[str, Any]]


def totals_by_day(rollup: pa.Table) -> dict[date, Totals]:
    """Per day and currency: ``{"rows": n, metric: {"sum": text, "missing": n}, …}``."""
    aggregates = [(ROW_COUNT, "sum")]
    for metric in Metric:
        aggregates += [(metric.column, "sum"), (metric.missing_column, "sum")]
    keyed = rollup.set_column(
        rollup.schema.get_field_index(CURRENCY), CURRENCY, _currency(rollup[CURRENCY])
    )
    grouped = keyed.group_by([CHARGE_DAY, CURRENCY], use_threads=False).aggregate(aggregates)
    days: dict[date, Totals] = {}
    for row in grouped.to_pylist():
        days.setdefault(row[CHARGE_DAY], {})[row[CURRENCY]] = {
            "rows": row[f"{ROW_COUNT}_sum"],
            **{metric.value: _total(row, metric) for metric in Metric},
        }
    return days


def _currency(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.equal(pc.fill_null(column, ""), ""), NO_CURRENCY, column)


def _total(row: dict[str, Any], metric: Metric) -> dict[str, Any]:
    return {
        "sum": format(row[f"{metric.column}_sum"] or Decimal(0), "f"),
        "missing": row[f"{metric.missing_column}_sum"],
    }
