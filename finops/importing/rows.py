"""Batches of rows as text to documents, with every defect counted.

A batch is worked on column by column: a batch has few distinct texts in most columns, and each is
read once. Nothing is kept from one batch to the next but counts.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from bson.decimal128 import Decimal128

from finops.focus import COLUMNS, Column, column_named
from finops.importing.cells import NULLS, Convert, Flawed, converter
from finops.importing.decimals import is_negative
from finops.importing.defects import Defects, Rule
from finops.importing.raw_rows import RawRows

Document = dict[str, Any]
Values = Sequence[Any]

# A row without one of these belongs to no day, no period or no sum.
REQUIRED = ("BilledCost", "BillingCurrency", "BillingPeriodStart", "ChargePeriodStart")


class Normaliser:
    """Makes documents of one file's rows.

    A document has its fields in the order of their names, costs as ``Decimal128``, timestamps as
    UTC ``datetime``, tags as a flat document, all else as text. What is null has no field: a query
    for null finds both, a row reads the same whether its file lacked the column or left it empty,
    and half of an Azure export's cells are empty.
    """

    def __init__(self, header: Sequence[str], defects: Defects) -> None:
        self._defects = defects
        self._width = len(header)
        self._columns = [_Reader(column_named(name), defects) for name in header]
        self._order = sorted(range(self._width), key=header.__getitem__)
        self._names = [header[i] for i in self._order]
        self._place = {name: i for i, name in enumerate(header)}

    def documents(self, rows: RawRows) -> list[Document]:
        """The documents of a batch, without the rows that are set aside."""
        rows = self._aligned(rows)
        if not rows.cells:
            return []
        columns = [
            reader.values(texts, rows.lines)
            for reader, texts in zip(self._columns, zip(*rows.cells, strict=True), strict=True)
        ]
        usable = self._usable(columns, rows.lines)
        _check_rows(lambda name: self._column(columns, name), rows.lines, self._defects)
        names = self._names
        ordered = zip(*(columns[i] for i in self._order), strict=True)
        return [
            {name: value for name, value in zip(names, values, strict=True) if value is not None}
            for values, use in zip(ordered, usable, strict=True)
            if use
        ]

    def finish(self) -> None:
        """Count what only the whole file can show."""
        for reader in self._columns:
            mixed = min(reader.empty, reader.null_text)
            self._defects.add(Rule.MIXED_NULLS, reader.name, [], rows=mixed)

    def _column(self, columns: Sequence[Values], name: str) -> Values | None:
        return columns[self._place[name]] if name in self._place else None

    def _aligned(self, rows: RawRows) -> RawRows:
        """Set aside rows whose cells do not line up: none of them can be told its column."""
        if all(len(cells) == self._width for cells in rows.cells):
            return rows
        fitting = RawRows([], [])
        odd = []
        for line, cells in zip(rows.lines, rows.cells, strict=True):
            if len(cells) == self._width:
                fitting.lines.append(line)
                fitting.cells.append(cells)
            else:
                odd.append(line)
                self._defects.put_aside(line, Rule.CELL_COUNT)
        self._defects.add(Rule.CELL_COUNT, "", odd)
        return fitting

    def _usable(self, columns: Sequence[Values], lines: Sequence[int]) -> list[bool]:
        required = [columns[self._place[name]] for name in REQUIRED]
        usable = [None not in values for values in zip(*required, strict=True)]
        if not all(usable):
            for i, use in enumerate(usable):
                if not use:
                    absent = [n for n, c in zip(REQUIRED, required, strict=True) if c[i] is None]
                    self._defects.put_aside(lines[i], Rule.MISSING, tuple(absent))
        return usable


class _Reader:
    """Reads the cells of one column and counts how it spells nothing."""

    def __init__(self, column: Column, defects: Defects) -> None:
        self.name = column.name
        self.empty = self.null_text = 0
        self._convert: Convert | None = converter(column)
        self._must_be = not column.nullable and column.name in COLUMNS
        self._defects = defects

    def values(self, texts: Sequence[str], lines: Sequence[int]) -> Values:
        """The cells' values; None for nothing."""
        empty = texts.count("")
        null_text = texts.count("NULL") if empty < len(texts) else 0
        self.empty += empty
        self.null_text += null_text
        if empty + null_text:
            if self._must_be:
                absent = [line for line, text in zip(lines, texts, strict=True) if text in NULLS]
                self._defects.add(Rule.MISSING, self.name, absent)
            if empty + null_text == len(texts):
                return [None] * len(texts)
        if self._convert:
            return self._converted(self._convert, texts, lines)
        if null_text:
            return [None if text in NULLS else text for text in texts]
        return [text or None for text in texts] if empty else texts

    def _converted(self, convert: Convert, texts: Sequence[str], lines: Sequence[int]) -> Values:
        table: dict[str, Any] = {
            text: None if text in NULLS else convert(text) for text in set(texts)
        }
        flawed = {text: cell for text, cell in table.items() if type(cell) is Flawed}
        if flawed:
            self._count(flawed, texts, lines)
            table |= {text: cell.value for text, cell in flawed.items()}
        return [table[text] for text in texts]

    def _count(self, flawed: dict[str, Flawed], texts: Sequence[str], lines: Sequence[int]) -> None:
        found: dict[Rule, list[tuple[int, str]]] = {}
        for line, text in zip(lines, texts, strict=True):
            if text in flawed:
                for rule in flawed[text].rules:
                    found.setdefault(rule, []).append((line, text))
        for rule, where in found.items():
            cells = (text for _, text in where)
            self._defects.add(rule, self.name, [line for line, _ in where], cells=cells)


def _check_rows(
    column: Callable[[str], Values | None], lines: Sequence[int], defects: Defects
) -> None:
    """Count what is wrong between the cells of a row."""
    checks: list[tuple[Rule, Callable[..., bool], tuple[str, ...]]] = [
        (Rule.NEGATIVE_COST, _negative, ("BilledCost",)),
        (Rule.PERIOD_REVERSED, _reversed, ("ChargePeriodEnd", "ChargePeriodStart")),
        (Rule.PERIOD_REVERSED, _reversed, ("BillingPeriodEnd", "BillingPeriodStart")),
        (
            Rule.OUTSIDE_BILLING_PERIOD,
            _outside,
            ("ChargePeriodStart", "BillingPeriodStart", "BillingPeriodEnd", "ChargeClass"),
        ),
        (Rule.CREDIT_AMORTISED, _amortised, ("EffectiveCost", "BilledCost", "ChargeCategory")),
        (
            Rule.STATUS_MISMATCH,
            _mismatched,
            ("CommitmentDiscountStatus", "CommitmentDiscountId", "ChargeCategory"),
        ),
    ]
    for rule, broken, names in checks:
        columns = [values for values in map(column, names) if values is not None]
        if len(columns) == len(names):
            rows = zip(lines, *columns, strict=True)
            found = [(line, cells[0]) for line, *cells in rows if broken(*cells)]
            shown = (cell for _, cell in found if cell is not None)
            defects.add(rule, names[0], [line for line, _ in found], cells=shown)


def _negative(cost: Decimal128 | None) -> bool:
    return cost is not None and is_negative(cost)


def _reversed(end: datetime | None, start: datetime | None) -> bool:
    return end is not None and start is not None and end <= start


def _outside(
    charge: datetime | None, start: datetime | None, end: datetime | None, charge_class: str | None
) -> bool:
    if charge is None or start is None or end is None or charge_class is not None:
        return False
    return not start <= charge < end


def _amortised(effective: Decimal128 | None, billed: Decimal128 | None, category: str) -> bool:
    return category == "Credit" and effective != billed


def _mismatched(status: str | None, commitment: str | None, category: str) -> bool:
    if commitment is None:
        return status is not None
    return status is None and category == "Usage"
