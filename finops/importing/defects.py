"""Counting what is wrong with a file: by rule and column, with the first lines of each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

EXAMPLES = 20  # line numbers kept per rule and column
CELLS = 3  # different texts kept per rule and column
_LONGEST_CELL = 80  # characters of such a text
LISTED = 10_000  # rows set aside that are listed one by one


class Rule(StrEnum):
    """What may be wrong; the value is what people read."""

    # Repaired without loss.
    LETTER_CASE = "other letter case than the specification's"
    NO_TIME_ZONE = "timestamp without a time zone, taken as UTC"
    NO_BRACES = "key and value pairs without braces around them"
    PAIR_LIST = "a list of key and value pairs instead of an object"
    MIXED_NULLS = "both empty cells and NULL stand for nothing"
    # Kept as it is.
    NOT_ALLOWED = "value outside the specification's list"
    NEGATIVE_COST = "negative cost"
    NEGATIVE_PRICE = "negative unit price"
    KEY_WITH_SPACE = "key that begins or ends with a space"
    PERIOD_REVERSED = "period that does not end after its start"
    OUTSIDE_BILLING_PERIOD = "charge period outside the billing period, yet no correction"
    CREDIT_AMORTISED = "credit whose EffectiveCost is not its BilledCost"
    STATUS_MISMATCH = "commitment status that does not fit the commitment's id"
    # Lost: there is nothing in its place.
    MISSING = "nothing where the specification asks for a value"
    NOT_A_NUMBER = "not a number"
    SEPARATOR = "number with a comma"
    TOO_MANY_DIGITS = "number of more than 34 digits or out of range"
    NOT_A_TIMESTAMP = "not a timestamp of ISO 8601"
    NOT_A_CURRENCY = "not a currency code of three letters"
    NOT_JSON = "not JSON of the expected shape"
    REPEATED_KEY = "key that stands twice; the last one counts"
    NOT_UTF8 = "bytes that are not UTF-8, replaced by �"
    # The whole row is set aside.
    CELL_COUNT = "other number of cells than the header"


@dataclass
class Count:
    """How often a rule was broken in a column, and where first."""

    rows: int = 0
    lines: list[tuple[str, int]] = field(default_factory=list)  # file name, line
    # The first different texts of the defective cells, cut: for the data page alone, which only
    # people who may see every row read. Reports and logs name lines.
    cells: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SetAside:
    """A row that was not imported, and the columns without which it cannot be."""

    file: str
    line: int
    columns: tuple[str, ...]
    rule: Rule


class Defects:
    """The defects of one import. ``file`` is the name under which lines are noted."""

    def __init__(self) -> None:
        self.file = ""
        self.counts: dict[tuple[Rule, str], Count] = {}
        self.set_aside: list[SetAside] = []  # the first LISTED of them
        self.rows_set_aside = 0

    def add(
        self,
        rule: Rule,
        column: str,
        lines: Sequence[int],
        rows: int | None = None,
        cells: Iterable[object] = (),
    ) -> None:
        """Count one defect per line, or ``rows`` of them where not every line is known.

        ``cells`` has what the defective cells say; it is looked at while examples are wanted.
        """
        rows = len(lines) if rows is None else rows
        if not rows:
            return
        count = self.counts.setdefault((rule, column), Count())
        count.rows += rows
        free = EXAMPLES - len(count.lines)
        count.lines.extend((self.file, line) for line in lines[:free])
        if len(count.cells) < CELLS:
            known = dict.fromkeys([*count.cells, *map(_cut, dict.fromkeys(map(str, cells)))])
            count.cells = list(known)[:CELLS]

    def put_aside(self, line: int, rule: Rule, columns: tuple[str, ...] = ()) -> None:
        """Note a row that is not imported."""
        self.rows_set_aside += 1
        if len(self.set_aside) < LISTED:
            self.set_aside.append(SetAside(self.file, line, columns, rule))

    def rows(self, rule: Rule, column: str | None = None) -> int:
        """How often ``rule`` was broken, in ``column`` or anywhere."""
        return sum(
            count.rows
            for (found, where), count in self.counts.items()
            if found is rule and column in (None, where)
        )

    def to_json(self) -> list[dict[str, Any]]:
        """Every rule and column with its count, its first lines and cells; of JSON's types."""
        return [
            {
                "rule": rule.name,
                "column": column,
                "rows": count.rows,
                "lines": [{"file": Path(file).name, "line": line} for file, line in count.lines],
                "cells": list(count.cells),
            }
            for (rule, column), count in sorted(self.counts.items())
        ]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"
