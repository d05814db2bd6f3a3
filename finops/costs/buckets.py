"""The time axis: days or months."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from finops.costs.periods import DAY, Period, month_start, months_before

Grain = Literal["day", "month"]
LONGEST_BY_DAY = 62  # days: longer spans are shown by month
MONTHS = 13


@dataclass(frozen=True, slots=True)
class Bucket:
    """One step of the time axis: the days from ``start`` up to, and without, ``end``."""

    label: str
    start: date
    end: date


def grain_of(span: Period) -> Grain:
    """By day for as long as days stay readable."""
    return "day" if span.days <= LONGEST_BY_DAY else "month"


def buckets_of(span: Period) -> tuple[Bucket, ...]:
    """Every day of a short span; else its last ``MONTHS`` months, in full, without gaps."""
    if grain_of(span) == "day":
        days = (span.start + DAY * offset for offset in range(span.days))
        return tuple(Bucket(f"{day.day} {day:%b %Y}", day, day + DAY) for day in days)
    last = month_start(span.last)
    count = min(MONTHS, _months_between(month_start(span.start), last) + 1)
    starts = (months_before(last, back) for back in reversed(range(count)))
    return tuple(Bucket(f"{start:%b %Y}", start, months_before(start, -1)) for start in starts)


def _months_between(start: date, end: date) -> int:
    return (end.year - start.year) * 12 + end.month - start.month
