"""The whole file: all rows of all days, in the order of days, as many as asked for."""

import csv
import gzip
import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import BinaryIO, cast

from sandbox.data.commitments import Commitments
from sandbox.data.layout import HEADER, Cells
from sandbox.data.monthly import Monthly
from sandbox.data.months import Month, months_until
from sandbox.data.usage import Usage

DEFAULT_ROWS = 50_000
FEWEST_ROWS = 1_000
_FEWEST_A_DAY = 48  # rows on a day that has any, so that all services can appear


def generate(*, rows: int = DEFAULT_ROWS, seed: int = 1, end: date) -> Iterator[Cells]:
    """Exactly ``rows`` rows, in the order of ``HEADER``: the month of ``end`` and twelve before.

    ``end`` is the last charge day. The money is that of a mid-size company however many rows there
    are: fewer rows are larger charges. Below some 19,000 rows not every day has any. Raises
    ``ValueError`` for fewer than ``FEWEST_ROWS``.
    """
    if rows < FEWEST_ROWS:
        raise ValueError(f"{rows} rows are too few for thirteen months; take {FEWEST_ROWS} or more")
    first = months_until(end, 1)[0].first
    length = (end - first).days + 1
    months = months_until(end, max(1, -(-_FEWEST_A_DAY * length // rows)))
    days = sum(len(month.days) for month in months)
    usage, commitments, monthly = Usage(seed), Commitments(seed), Monthly(seed)
    written = reached = 0
    for month in months:
        for day in month.days:
            reached += 1
            for row in _single(monthly, commitments, first, month, day, end):
                written += 1
                yield row
            start, stop = month.span(day, end)
            made = usage.rows(
                month,
                day,
                quota=rows * _progress(reached, days) // _progress(days, days) - written,
                covered=(stop - start).days,
                age=(day - first).days / length,
            )
            for charged, row, effective in made:
                monthly.remember(charged, row, effective, day)
                written += 1
                yield row
            # The tax is on rows of this very day, too. The next day has so many rows less.
            for row in monthly.closing(month, day):
                written += 1
                yield row


def _single(
    monthly: Monthly,
    commitments: Commitments,
    first: date,
    month: Month,
    day: date,
    end: date,
) -> Iterator[Cells]:
    """The rows of a day that are not of use."""
    if day == month.days[0]:
        yield from monthly.opening(month, day)
    yield from commitments.rows(first, month, day, end)


def _progress(reached: int, days: int) -> int:
    """The share of rows up to a day: a company that grows has more resources at the end."""
    return reached * (3 * days + reached)


def write(path: Path, *, rows: int = DEFAULT_ROWS, seed: int = 1, end: date) -> None:
    """Write the rows as CSV, gzipped if the name ends with ``.gz``. The same bytes every time."""
    with path.open("wb") as file:
        out = cast(BinaryIO, file)
        if path.suffix == ".gz":
            out = cast(BinaryIO, gzip.GzipFile("", "wb", 6, file, mtime=0))
        with io.TextIOWrapper(out, "utf-8", newline="") as text:
            writer = csv.writer(text)
            writer.writerow(HEADER)
            writer.writerows(generate(rows=rows, seed=seed, end=end))
