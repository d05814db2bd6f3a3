"""Periods: half-open, compared with the same days of the month before."""

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.costs.buckets import LONGEST_BY_DAY, MONTHS, buckets_of
from finops.costs.periods import (
    DAY,
    Period,
    month_to_date,
    months_before,
    same_days_of_month_before,
)

dates = st.dates(date(1900, 2, 1), date(2199, 12, 31))


def test_a_period_holds_its_start_and_not_its_end() -> None:
    period = Period(date(2026, 10, 1), date(2026, 10, 3))
    assert date(2026, 10, 1) in period
    assert date(2026, 10, 3) not in period
    assert (period.days, period.last) == (2, date(2026, 10, 2))


def test_a_period_cannot_end_before_it_starts() -> None:
    with pytest.raises(ValueError, match="cannot end"):
        Period(date(2026, 10, 2), date(2026, 10, 1))


@pytest.mark.parametrize(
    ("anchor", "start", "end"),
    [
        (date(2026, 10, 20), date(2026, 9, 1), date(2026, 9, 21)),
        (date(2026, 1, 1), date(2025, 12, 1), date(2025, 12, 2)),
        (date(2026, 3, 31), date(2026, 2, 1), date(2026, 3, 1)),
        (date(2026, 3, 29), date(2026, 2, 1), date(2026, 3, 1)),
        (date(2028, 3, 29), date(2028, 2, 1), date(2028, 3, 1)),
        (date(2028, 3, 28), date(2028, 2, 1), date(2028, 2, 29)),
        (date(2026, 2, 28), date(2026, 1, 1), date(2026, 1, 29)),
        (date(2026, 5, 31), date(2026, 4, 1), date(2026, 5, 1)),
    ],
)
def test_the_same_days_of_the_month_before(anchor: date, start: date, end: date) -> None:
    assert same_days_of_month_before(anchor) == Period(start, end)


@given(dates)
def test_the_compared_periods_never_overlap_and_never_leave_their_months(anchor: date) -> None:
    current, previous = month_to_date(anchor), same_days_of_month_before(anchor)
    assert (current.start.day, current.last) == (1, anchor)
    assert previous.end <= current.start
    assert previous.start == months_before(anchor, 1)
    assert previous.last.month == previous.start.month
    shortened = previous.end == current.start
    assert previous.days == current.days or (shortened and previous.days < current.days)


@given(dates, st.integers(-300, 300))
def test_months_before_goes_back_and_forth(day: date, count: int) -> None:
    month = day.replace(day=1)
    assert months_before(months_before(month, count), -count) == month


@given(dates, st.integers(0, 3000))
def test_buckets_join_without_gaps_and_hold_the_anchor(first: date, length: int) -> None:
    span = Period(first, first + DAY * (length + 1))
    buckets = buckets_of(span)
    assert all(a.end == b.start for a, b in pairwise(buckets))
    assert buckets[-1].start <= span.last < buckets[-1].end
    if span.days <= LONGEST_BY_DAY:
        assert len(buckets) == span.days
    else:
        assert len(buckets) <= MONTHS
        assert len(buckets) == MONTHS or buckets[0].start <= first < buckets[0].end
