"""The month's end, what moved and commitments: against plain arithmetic over the same rows."""

from collections import defaultdict
from datetime import date
from decimal import Decimal as D
from decimal import localcontext

import pytest

from accounts.scopes import ALL, Scope
from finops.costs.metrics import Metric
from finops.costs.movers import MOVERS, Part, largest
from finops.costs.overview import Overview, UnknownCurrency, load_overview
from finops.costs.projection import Projection, projection
from finops.costs.units import CONVERTED
from finops.models import Dataset
from finops.outlook import outlook
from tests.finops.cost_documents import build_all, charge, generated
from tests.finops.oracle import Row

ANCHOR = date(2026, 10, 20)


def load(dataset: Dataset, currency: str | None = "EUR", scope: Scope = ALL) -> Overview:
    return load_overview(dataset=dataset, scope=scope, currency=currency, metric=Metric.EFFECTIVE)


def test_a_projection_is_the_run_rate() -> None:
    found = projection(D(200), ANCHOR, D(300))
    assert found == Projection(D(310), 20, 31, D(300))
    thirds = projection(D(10), date(2026, 4, 9), None)
    assert thirds == Projection(D("33.333333"), 9, 30, None)


@pytest.mark.parametrize("day", [1, 2, 31])
def test_there_is_none_too_early_and_none_at_the_end(day: int) -> None:
    assert projection(D(1), date(2026, 10, day), None) is None


def part(service: str | None, account: str | None, current: str, previous: str) -> Part:
    return Part(service, account, account and account.upper(), D(current), D(previous))


def test_movers_are_ordered_by_the_size_of_their_move() -> None:
    found = largest(
        [
            part("up", "a", "10", "1"),
            part("up", "b", "1", "3"),
            part("down", "a", "1", "20"),
            part("still", "a", "5", "5"),
            *(part(f"s{n}", "a", "0.1", "0") for n in range(9)),
        ]
    )
    assert len(found) == MOVERS
    down, up, *rest = found
    assert (down.service, down.change, down.reason.change) == ("down", D(-19), D(-19))
    assert (up.service, up.change, up.fraction) == ("up", D(7), D(7) / 4)
    assert (up.reason.sub_account_name, up.reason.change) == ("A", D(9))
    assert [mover.service for mover in rest] == ["s0", "s1", "s2"]
    assert rest[0].fraction is None


def test_what_moves_within_a_service_and_evens_out_is_no_move() -> None:
    assert largest([part("x", "a", "2", "1"), part("x", "b", "1", "2")]) == ()


@pytest.mark.django_db
def test_movers_are_the_oracles() -> None:
    rows = generated(start=date(2026, 8, 1), days=81, rows=900, seed=3)
    dataset = build_all(rows)
    with localcontext(prec=80):
        compare_with_oracle(rows, dataset)


def compare_with_oracle(rows: list[Row], dataset: Dataset) -> None:
    moves: dict[tuple[str | None, str | None], D] = defaultdict(D)
    for row in rows:
        day = date.fromisoformat((row["ChargePeriodStart"] or "")[:10])
        if row["BillingCurrency"] == "EUR" and day.day <= 20 and day.month in (9, 10):
            sign = 1 if day.month == 10 else -1
            key = (row["ServiceName"], row["SubAccountId"])
            moves[key] += sign * D(row["EffectiveCost"] or 0)
    by_service: dict[str | None, D] = defaultdict(D)
    for (service, _), move in moves.items():
        by_service[service] += move
    overview = load(dataset)
    expected = sorted(by_service.items(), key=lambda one: -abs(one[1]))[:MOVERS]
    assert [(mover.service, mover.change) for mover in overview.movers] == expected
    for mover in overview.movers:
        within = [move for (service, _), move in moves.items() if service == mover.service]
        assert mover.reason.change == (max(within) if mover.change > 0 else min(within))
    own = load(dataset, scope=Scope.of(["a"]))
    assert {mover.reason.sub_account_id for mover in own.movers} == {"a"}
    assert overview.projection is not None
    to_date = next(one.current for one in overview.totals if one.metric is Metric.EFFECTIVE)
    assert abs(overview.projection.amount - to_date / 20 * 31) < D("0.000001")
    september = sum(
        D(row["EffectiveCost"] or 0)
        for row in rows
        if row["BillingCurrency"] == "EUR" and (row["ChargePeriodStart"] or "")[5:7] == "09"
    )
    assert overview.projection.month_before == september


@pytest.mark.django_db
def test_without_an_earlier_month_nothing_moved() -> None:
    overview = load(build_all([charge(ANCHOR, "5")]))
    assert overview.movers == ()
    assert overview.projection is not None
    assert overview.projection.month_before is None
    assert outlook(overview).projection is not None


COVERED = {"CommitmentDiscountId": "ri-1", "CommitmentDiscountStatus": "Used"}
WASTED = {"CommitmentDiscountId": "ri-2", "CommitmentDiscountStatus": "Unused"}


@pytest.mark.django_db
def test_commitments_are_of_usage_in_the_month_to_date() -> None:
    dataset = build_all(
        [
            charge(ANCHOR, "30", **COVERED, SubAccountId="a"),
            charge(ANCHOR, "10", **WASTED),
            charge(ANCHOR, "60", SubAccountId="a"),
            charge(ANCHOR, "500", **COVERED, ChargeCategory="Purchase"),
            charge(ANCHOR, "500", **COVERED, BillingCurrency="USD"),
            charge(date(2026, 9, 30), "500", **COVERED),
        ]
    )
    found = load(dataset).commitments
    assert found is not None
    assert (found.used, found.unused, found.usage, found.count) == (D(30), D(10), D(90), 2)
    assert found.utilization == D("0.75")
    with localcontext(prec=80):
        assert found.coverage == D(30) / 90
    own = load(dataset, scope=Scope.of(["a"])).commitments
    assert own is not None
    assert (own.unused, own.count) == (D(0), 1)


@pytest.mark.django_db
def test_no_commitments_are_none_and_a_credit_gives_no_share() -> None:
    assert load(build_all([charge(ANCHOR, "1")])).commitments is None
    dataset = build_all([charge(ANCHOR, "-5", **COVERED)], name="credited")
    found = load(dataset).commitments
    assert found is not None
    assert (found.utilization, found.coverage) == (None, None)
    card = outlook(load(dataset)).commitments
    assert card is not None
    assert (card.utilization, card.bar, card.count) == ("–", "0.00", "1 commitment")


def dollars(cost: str) -> Row:
    return {f"x_{name}CostInUsd": cost for name in ("Billed", "Effective", "List", "Contracted")}


@pytest.mark.django_db
def test_azures_us_dollars_add_every_currency() -> None:
    dataset = build_all(
        [
            charge(ANCHOR, "10", **dollars("11.5"), SubAccountId="a"),
            charge(ANCHOR, "10", BillingCurrency="CHF", **dollars("12.25")),
            charge(ANCHOR, "10", BillingCurrency="USD", **dollars("10")),
            charge(ANCHOR, "99"),
            charge(date(2026, 9, 3), "1", **dollars("2"), ServiceName="Disks"),
        ]
    )
    overview = load(dataset, CONVERTED)
    assert (overview.currency, overview.unit.converted, overview.rows) == ("USD", True, 5)
    for total in overview.totals:
        assert (total.current, total.previous, total.missing_rows) == (D("33.75"), D(2), 1)
    assert [mover.change for mover in overview.movers] == [D("33.75"), -2]
    assert load(dataset, "USD").totals[0].current == 10
    assert load(dataset, CONVERTED, Scope.of(["a"])).totals[0].current == D("11.5")


@pytest.mark.django_db
def test_they_are_no_choice_where_there_are_none_or_nothing_else() -> None:
    plain = build_all([charge(ANCHOR, "10")])
    assert not load(plain).convertible
    with pytest.raises(UnknownCurrency):
        load(plain, CONVERTED)
    only = build_all([charge(ANCHOR, "1", BillingCurrency="USD", **dollars("1"))], name="dollars")
    assert not load(only, "USD").convertible
    with pytest.raises(UnknownCurrency):
        load(only, CONVERTED)
    both = build_all([charge(ANCHOR, "1"), charge(ANCHOR, "1", BillingCurrency="USD")], name="both")
    with pytest.raises(UnknownCurrency):
        load(both, CONVERTED)
