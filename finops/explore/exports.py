"""What one sees, and the rows behind it, as files: CSV, XLSX, FOCUS CSV.

Text that a spreadsheet could take for a formula gets an apostrophe in front; numbers are written
as numbers, in CSV with every digit.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import xlsxwriter

from finops.costs.explore import Answer, Line
from finops.costs.explore_rows import COLUMN_NAMES
from finops.explore.form import name_of
from finops.formatting import currency_digits
from finops.segments.schema import COLUMNS, OTHER, TAGS

CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_LONGEST_SHEET_NAME = 31
_LONGEST_CELL = 32_767  # characters that XLSX holds in one

Cell = str | Decimal | int | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: its heads and its rows, the total last. Shares and changes are fractions."""

    title: str
    currency: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    fractions: frozenset[int]  # the columns that hold fractions
    costs: frozenset[int]


def sheet_of(answer: Answer) -> Sheet:
    """The table of the explorer, and beside each line its course."""
    question, frame = answer.question, answer.frame
    compared = frame.previous is not None
    groups = [one.label for one in question.groups] or ["Costs"]
    period = f"{frame.period.start} to {frame.period.last}"
    measures = [f"{question.metric.label} {answer.currency} {period}"]
    if frame.previous is not None:
        before = f"{frame.previous.start} to {frame.previous.last}"
        measures += [f"{question.metric.label} {answer.currency} {before}", "Difference", "Change"]
    first = len(groups)
    steps = range(first + len(measures) + 2, first + len(measures) + 2 + len(frame.buckets))
    change = {first + 3} if compared else set()
    share = first + len(measures)
    costs = {*range(first, first + (3 if compared else 1)), *steps}
    lines = [*answer.lines, *([answer.rest] if answer.rest else []), answer.total]
    return Sheet(
        title=question.metric.label,
        currency=answer.currency,
        heads=(*groups, *measures, "Share", "Rows", *(str(one.start) for one in frame.buckets)),
        rows=tuple(_row(line, answer, len(groups)) for line in lines),
        fractions=frozenset({share} | change),
        costs=frozenset(costs),
    )


def _row(line: Line, answer: Answer, width: int) -> tuple[Cell, ...]:
    names: list[Cell] = list(map(name_of, line.key or ()))
    if line is answer.total:
        names = ["Total"]
    elif line is answer.rest:
        names = [f"{line.groups} others"]
    names = names or ["All costs"]
    measures: list[Cell] = [line.cost]
    if answer.frame.previous is not None:
        measures += [line.previous, line.difference, line.change]
    whole = answer.total.cost
    share = line.cost / whole if whole > 0 else None
    return (*names, *[None] * (width - len(names)), *measures, share, line.rows, *line.steps)


def csv_of(sheet: Sheet) -> Iterator[str]:
    """The lines of a CSV file."""
    return _csv_lines([sheet.heads, *sheet.rows])


def xlsx_of(sheet: Sheet) -> bytes:
    """An XLSX file. Its numbers have the 15 digits that spreadsheets calculate with."""
    file = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(file, options) as book:
        page = book.add_worksheet(sheet.title[:_LONGEST_SHEET_NAME])
        digits = currency_digits(sheet.currency)
        bold = book.add_format({"bold": True})
        cost = book.add_format({"num_format": f"#,##0.{'0' * digits}" if digits else "#,##0"})
        fraction = book.add_format({"num_format": "0.0%"})
        for at, head in enumerate(sheet.heads):
            page.write_string(0, at, head, bold)
        for number, row in enumerate(sheet.rows, start=1):
            for at, value in enumerate(row):
                if isinstance(value, str):
                    page.write_string(number, at, value[:_LONGEST_CELL])
                elif value is not None:
                    shape = (
                        cost if at in sheet.costs else fraction if at in sheet.fractions else None
                    )
                    page.write_number(number, at, value, shape)
        page.freeze_panes(1, 0)
        page.autofit()
    return file.getvalue()


# --- Rows -----------------------------------------------------------------------------------------

_FOCUS_NAMES = {column.name: column.focus for column in COLUMNS} | {TAGS: "Tags"}
FOCUS_COLUMNS: tuple[str, ...] = tuple(name for name in COLUMN_NAMES if name in _FOCUS_NAMES)


def focus_csv(rows: Iterable[Sequence[Any]], extra: Sequence[str]) -> Iterator[str]:
    """The lines of a FOCUS file; each row has ``FOCUS_COLUMNS`` and the map of other columns.

    ``extra`` names the other columns to write.
    """
    heads = [*(_FOCUS_NAMES[name] for name in FOCUS_COLUMNS), *extra]

    def cells() -> Iterator[list[Cell]]:
        for *known, others in rows:
            yield [*map(_cell, known), *((others or {}).get(name) for name in extra)]

    return _csv_lines([heads], cells())


STREAMED: tuple[str, ...] = (*FOCUS_COLUMNS, OTHER)


def _cell(value: Any) -> Cell:
    match value:
        case datetime():
            return f"{value:%Y-%m-%dT%H:%M:%SZ}"
        case date():
            return value.isoformat()
        case dict():
            # FOCUS has a tag without a value as true.
            tags = {key: True if text == "true" else text for key, text in value.items()}
            return json.dumps(tags, ensure_ascii=False)
        case Decimal() | int() | None:
            return value
        case _:
            return str(value)


def _csv_lines(*parts: Iterable[Sequence[Cell]]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\r\n")
    for part in parts:
        for row in part:
            writer.writerow([_text(value) for value in row])
            yield line.getvalue()
            line.seek(0)
            line.truncate()


def _text(value: Cell) -> str:
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return "" if value is None else str(value)
