"""Any period, compared with anything, by months or days: the sums of its days, and of no other."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import cache, reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import DjangoDbBlocker

from accounts.scopes import ALL
from finops.costs.dimensions import DIMENSIONS
from finops.costs.explore import explore
from finops.costs.explore_values import values_of
from finops.costs.periods import DAY, Period
from finops.costs.question import Comparison, Preset, Question
from finops.models import Dataset
from tests.finops import oracle
from tests.finops.cost_documents import build_all, generated
from tests.finops.oracle import Row

pytestmark = pytest.mark.django_db
START, DAYS = date(2025, 9, 10), 300
LAST = START + DAY * (DAYS - 1)


@cache
def rows() -> list[Row]:
    return generated(start=START, days=DAYS, rows=1500, seed=11)


@pytest.fixture(scope="module")
def stored(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Dataset]:
    with django_db_blocker.unblock():
        made = build_all(rows(), "spans")
        yield made
        made.delete()


@cache
def by_day() -> dict[date, Decimal]:
    """What each charge day costs in euros."""
    days = oracle.group(rows(), "EffectiveCost", bucket=oracle.by_charge_day)
    return {date.fromisoformat(day): cost for (of, day, _), cost in days.items() if of == "EUR"}


def cost(period: Period | None) -> Decimal:
    """What the days of a period cost in euros."""
    amounts = [cost for day, cost in by_day().items() if period is not None and day in period]
    return reduce(oracle.EXACT.add, amounts, Decimal(0))


starts = st.dates(START - timedelta(days=40), LAST) | st.sampled_from(
    [date(2025, 10, 1), date(2026, 1, 1), date(2026, 5, 1)]
)
ends = st.integers(1, 330) | st.sampled_from([30, 31, 92, 365])
spans = st.builds(lambda start, days: Period(start, start + DAY * days), starts, ends)


@settings(max_examples=40, deadline=None)
@given(
    when=spans | st.sampled_from(Preset),
    comparison=st.sampled_from(Comparison),
    grain=st.sampled_from(["day", "month"]),
)
def test_a_span_is_the_sum_of_its_days(
    stored: Dataset, when: Period | Preset, comparison: Comparison, grain: str
) -> None:
    question = Question(when=when, comparison=comparison, grain=grain, currency="EUR")  # type: ignore[arg-type]
    answer = explore(stored, ALL, question)
    frame = answer.frame
    assert answer.total.cost == cost(frame.period)
    assert answer.total.previous == (cost(frame.previous) if frame.previous else None)
    assert list(answer.total.steps) == [
        cost(Period(bucket.start, bucket.end)) for bucket in frame.buckets
    ]
    listed = values_of(stored, ALL, question, DIMENSIONS["service_name"]).values
    assert reduce(oracle.EXACT.add, (value.cost for value in listed), Decimal(0)) == (
        answer.total.cost
    )
