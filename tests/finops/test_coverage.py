"""Missing days are named, and a month is out of line by a stated formula and by nothing else."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from accounts.scopes import ALL, NOTHING, Scope
from finops.costs.coverage import LIMIT, coverage, coverage_of, score
from finops.costs.engine import engine
from finops.costs.periods import DAY, Period, months_before
from finops.costs.published import published
from tests.finops.cost_documents import build_all, charge

FIRST = date(2026, 1, 1)


def months(*daily: tuple[int, str]) -> dict[date, tuple[int, Decimal]]:
    """Whole months, each day of which has so many rows and costs so much."""
    days = {}
    for number, (rows, cost) in enumerate(daily):
        day = months_before(FIRST, -number)
        while day < months_before(FIRST, -number - 1):
            days[day] = (rows, Decimal(cost))
            day += DAY
    return days


def test_a_score_is_that_of_iglewicz_and_hoaglin() -> None:
    values = [10.0, 11.0, 12.0, 13.0, 30.0]
    # Median 12; absolute deviations 2, 1, 0, 1, 18, of which the median is 1.
    assert score(30.0, values) == pytest.approx(18 / 1.486)
    assert score(10.0, values) == pytest.approx(-2 / 1.486)


def test_where_most_are_equal_the_mean_deviation_counts() -> None:
    values = [5.0, 5.0, 5.0, 5.0, 10.0]
    assert score(10.0, values) == pytest.approx(5 / 1.253314)
    assert score(5.0, [5.0] * 9) == 0


def test_of_few_nobody_can_say() -> None:
    assert score(1000.0, [1.0, 1.0, 1.0, 1000.0]) == 0


def test_a_month_that_came_twice_is_a_jump() -> None:
    usual = [(100, "50"), (103, "51"), (98, "49"), (101, "50.5"), (99, "52")]
    found = coverage_of("EUR", months(*usual, (200, "100"), (102, "51")))
    jumps = {line.month: line.jumps for line in found if line.jumps}
    assert set(jumps) == {date(2026, 6, 1)}
    rows, cost = jumps[date(2026, 6, 1)]
    assert (rows.of, cost.of) == ("rows", "cost")
    assert rows.times == pytest.approx(200 / 101)


def test_a_month_with_fewer_days_is_compared_by_the_day() -> None:
    days = months(*[(100 + n, "50") for n in range(6)])
    latest = max(days)
    for back in range(20):
        del days[latest - timedelta(days=back)]
    assert [line.jumps for line in coverage_of("EUR", days)] == [()] * 6


def test_small_changes_of_a_steady_bill_are_none() -> None:
    """Far out by the score, but by two per cent only."""
    found = coverage_of("EUR", months(*[(100, "50")] * 8, (102, "51")))
    assert score(102.0, [100.0] * 8 + [102.0]) > LIMIT
    assert all(line.jumps == () for line in found)


def test_missing_days_are_runs_within_the_data() -> None:
    days = dict.fromkeys([date(2026, 1, 5), date(2026, 1, 8), date(2026, 3, 2)], (1, Decimal(1)))
    march, february, january = coverage_of("EUR", days)
    assert january.missing == (
        Period(date(2026, 1, 6), date(2026, 1, 8)),
        Period(date(2026, 1, 9), date(2026, 2, 1)),
    )
    assert february.missing == (Period(date(2026, 2, 1), date(2026, 3, 1)),)
    assert march.missing == (Period(date(2026, 3, 1), date(2026, 3, 2)),)
    assert (february.rows, february.days, february.jumps) == (0, 0, ())


@pytest.mark.django_db
def test_each_currency_and_each_scope_by_itself() -> None:
    dataset = build_all(
        [
            charge(FIRST, "1.5", SubAccountId="a"),
            charge(FIRST, "2", SubAccountId="b"),
            charge(FIRST + 2 * DAY, "4", SubAccountId="b"),
            charge(FIRST, "8", SubAccountId="b", BillingCurrency="USD"),
        ]
    )
    manifest = published(dataset)
    euros, dollars = coverage(manifest, ALL, engine())
    assert (euros.currency, euros.rows, euros.cost, euros.days) == ("EUR", 3, Decimal("7.5"), 2)
    assert euros.missing == (Period(FIRST + DAY, FIRST + 2 * DAY),)
    assert (dollars.currency, dollars.cost, dollars.missing) == ("USD", Decimal(8), ())
    (own,) = coverage(manifest, Scope.of(["a"]), engine())
    assert (own.rows, own.cost, own.missing) == (1, Decimal("1.5"), ())
    assert coverage(manifest, NOTHING, engine()) == []
