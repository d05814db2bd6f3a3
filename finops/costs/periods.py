"""Half-open ranges of charge days."""

from dataclasses import dataclass
from datetime import date, timedelta

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """The days from ``start`` up to, and without, ``end``."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"A period cannot end ({self.end}) before it starts ({self.start}).")

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end

    @property
    def last(self) -> date:
        """The last day that belongs to the period."""
        return self.end - DAY

    @property
    def days(self) -> int:
        """How many days the period has."""
        return (self.end - self.start).days


def month_start(day: date) -> date:
    """The first day of ``day``'s month."""
    return day.replace(day=1)


def months_before(month: date, count: int) -> date:
    """The first day of the month ``count`` months before ``month``'s; after it, if negative."""
    index = month.year * 12 + month.month - 1 - count
    return date(index // 12, index % 12 + 1, 1)


def month_to_date(anchor: date) -> Period:
    """From the first of ``anchor``'s month up to and with ``anchor``."""
    return Period(month_start(anchor), anchor + DAY)


def same_days_of_month_before(anchor: date) -> Period:
    """What ``month_to_date(anchor)`` is compared with.

    Where the month before is shorter it ends with that month: 31 March is compared with the whole
    of February. The two periods never overlap.
    """
    start = months_before(anchor, 1)
    return Period(start, min(start + timedelta(days=anchor.day), month_start(anchor)))
