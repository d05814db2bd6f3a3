"""What the explorer answers: groups, filters, periods, comparisons, running sums."""

from datetime import date
from decimal import Decimal

import pytest
from pytest_django.fixtures import Settings

from accounts.scopes import ALL, NOTHING, Scope
from finops.costs.dimensions import DIMENSIONS, Dimension, UnknownDimension, dimension_named
from finops.costs.explore import Answer, explore
from finops.costs.metrics import Metric
from finops.costs.overview import NoCostData, NoCostsInScope
from finops.costs.periods import DAY, Period
from finops.costs.question import Basis, Comparison, Filter, Order, Preset, Question
from finops.models import Dataset
from tests.finops.cost_documents import MemorySource, build_all, builder, charge
from tests.finops.oracle import Row

pytestmark = pytest.mark.django_db

ANCHOR = date(2026, 10, 20)
SERVICE, REGION = DIMENSIONS["service_name"], DIMENSIONS["region_name"]
RESOURCE = DIMENSIONS["resource_name"]
OWNER, TEAM = dimension_named("tag:owner"), dimension_named("tag:team")


def asked(rows: list[Row], scope: Scope = ALL, **question: object) -> Answer:
    return explore(build_all(rows), scope, Question(**question))  # type: ignore[arg-type]


def costs(answer: Answer) -> dict[tuple[str | None, ...] | None, Decimal]:
    return {line.key: line.cost for line in answer.lines}


def only(dimension: Dimension, *values: str | None) -> tuple[Filter, ...]:
    return (Filter(dimension, frozenset(values)),)


def test_without_a_group_there_is_one_line_which_is_the_total() -> None:
    answer = asked([charge(ANCHOR, "2"), charge(ANCHOR - DAY, "3")])
    assert costs(answer) == {(): Decimal(5)}
    assert (answer.total.cost, answer.total.rows, answer.rest) == (Decimal(5), 2, None)


def test_two_dimensions_make_pairs_with_nulls_of_their_own() -> None:
    answer = asked(
        [
            charge(ANCHOR, "1", ServiceName="Compute", RegionName="North"),
            charge(ANCHOR, "10", ServiceName="Compute", RegionName=None),
            charge(ANCHOR, "100", ServiceName=None, RegionName="North"),
            charge(ANCHOR, "1000", ServiceName=None, RegionName=""),
        ],
        groups=(SERVICE, REGION),
    )
    assert costs(answer) == {
        ("Compute", "North"): Decimal(1),
        ("Compute", None): Decimal(10),
        (None, "North"): Decimal(100),
        (None, None): Decimal(1000),
    }
    assert answer.read == "rollup"


def test_a_configured_tag_is_read_from_the_roll_up_and_any_other_from_the_rows() -> None:
    rows = [
        charge(ANCHOR, "1", Tags='{"owner": "ada", "team": "blue"}'),
        charge(ANCHOR, "2", Tags='{"team": true}'),
        charge(ANCHOR, "4", Tags="{}"),
        charge(ANCHOR, "8"),
    ]
    dataset = build_all(rows)
    owners = explore(dataset, ALL, Question(groups=(OWNER,)))
    teams = explore(dataset, ALL, Question(groups=(TEAM, OWNER)))
    assert (owners.read, teams.read) == ("rollup", "rows")
    assert costs(owners) == {("ada",): Decimal(1), (None,): Decimal(14)}
    assert costs(teams) == {
        ("blue", "ada"): Decimal(1),
        ("true", None): Decimal(2),
        (None, None): Decimal(12),
    }


def test_a_tag_that_became_a_column_after_its_days_were_built_is_read_from_the_rows(
    settings: Settings,
) -> None:
    dataset = build_all([charge(ANCHOR, "1", Tags='{"team": "blue"}')])
    settings.SEGMENT_TAG_COLUMNS = ["owner", "team"]
    answer = explore(dataset, ALL, Question(groups=(TEAM,)))
    assert (answer.read, costs(answer)) == ("rows", {("blue",): Decimal(1)})


@pytest.mark.parametrize("groups", [(SERVICE,), (RESOURCE,)], ids=["rollup", "rows"])
def test_the_largest_in_either_period_are_lines_and_the_others_one(
    groups: tuple[Dimension, ...],
) -> None:
    sizes = {"a": "9", "b": "-8", "c": "1", "d": "2", "e": None}
    rows = [
        charge(ANCHOR, cost, ServiceName=name, ResourceName=name) for name, cost in sizes.items()
    ]
    rows.append(charge(date(2026, 9, 1), "7", ServiceName="gone", ResourceName="gone"))
    answer = asked(rows, groups=groups, top=3, when=Preset.THIS_MONTH, comparison=Comparison.PERIOD)
    assert [line.key for line in answer.lines] == [("a",), ("gone",), ("b",)]
    rest = answer.rest
    assert rest is not None
    assert (rest.groups, rest.cost, rest.rows, rest.missing_rows) == (3, Decimal(3), 3, 1)
    assert answer.total.groups == 6
    assert (answer.total.cost, answer.total.previous) == (Decimal(4), Decimal(7))
    assert answer.total.missing_rows == 1


def test_periods_are_half_open() -> None:
    rows = [
        charge(date(2026, 9, 30), "1", ChargePeriodStart="2026-09-30 23:59:59"),
        charge(date(2026, 10, 1), "10", ChargePeriodStart="2026-10-01 00:00:00"),
        charge(date(2026, 10, 2), "100", ChargePeriodStart="2026-10-02 23:59:59"),
        charge(date(2026, 10, 3), "1000", ChargePeriodStart="2026-10-03 00:00:00"),
    ]
    days = Period(date(2026, 10, 1), date(2026, 10, 3))
    answer = asked(rows, when=days, comparison=Comparison.PERIOD)
    assert answer.total.cost == Decimal(110)
    assert answer.total.steps == (Decimal(10), Decimal(100))


def test_a_period_outside_the_data_is_zero_and_not_an_error() -> None:
    answer = asked(
        [charge(ANCHOR)], groups=(SERVICE,), when=Period(date(2020, 1, 1), date(2020, 1, 3))
    )
    assert (answer.lines, answer.rest, answer.total.cost) == ((), None, Decimal(0))
    assert answer.total.steps == (Decimal(0), Decimal(0))


def test_months_are_cut_by_the_period_and_a_day_outside_is_no_part_of_them() -> None:
    days = [date(2026, 8, 31), date(2026, 9, 1), date(2026, 9, 30), date(2026, 10, 5), ANCHOR]
    answer = asked(
        [charge(day, str(10**n)) for n, day in enumerate(days)],
        when=Period(date(2026, 9, 2), date(2026, 10, 6)),
        grain="month",
    )
    buckets = [(bucket.start, bucket.end) for bucket in answer.frame.buckets]
    assert buckets == [
        (date(2026, 9, 2), date(2026, 10, 1)),
        (date(2026, 10, 1), date(2026, 10, 6)),
    ]
    assert answer.total.steps == (Decimal(100), Decimal(1000))


def test_overlapping_years_are_each_whole() -> None:
    rows = [charge(date(2025, 10, 1), "1"), charge(date(2026, 3, 1), "10"), charge(ANCHOR, "100")]
    answer = asked(rows, when=Preset.LAST_13_MONTHS, comparison=Comparison.YEAR)
    assert (answer.total.cost, answer.total.previous) == (Decimal(111), Decimal(1))
    assert answer.previous_steps is not None
    assert answer.previous_steps[-1] == Decimal(1)


def test_a_line_knows_its_difference_and_its_change() -> None:
    rows = [
        charge(date(2026, 9, 3), "4"),
        charge(ANCHOR, "5"),
        charge(ANCHOR, "1", ServiceName="New"),
    ]
    answer = asked(rows, groups=(SERVICE,), when=Preset.THIS_MONTH, comparison=Comparison.PERIOD)
    compute, new = answer.lines
    assert (compute.previous, compute.difference, compute.change) == (
        Decimal(4),
        Decimal(1),
        Decimal("0.25"),
    )
    assert (new.previous, new.difference, new.change) == (Decimal(0), Decimal(1), None)
    assert answer.total.difference == Decimal(2)


def test_running_sums_end_with_the_total() -> None:
    days = [ANCHOR - DAY * 2, ANCHOR - DAY, ANCHOR, date(2026, 9, 1)]
    answer = asked(
        [charge(day, str(10**n)) for n, day in enumerate(days)],
        when=Preset.THIS_MONTH,
        comparison=Comparison.PERIOD,
        cumulative=True,
    )
    assert answer.total.steps[-4:] == (Decimal(0), Decimal(1), Decimal(11), Decimal(111))
    assert answer.total.steps[-1] == answer.total.cost
    assert answer.previous_steps == (Decimal(1000),) * 20


def test_the_billing_period_is_another_basis_and_always_a_month() -> None:
    rows = [
        charge(date(2026, 9, 30), "1", BillingPeriodStart="2026-10-01 00:00:00"),
        charge(ANCHOR, "10", BillingPeriodStart="2026-10-01 00:00:00"),
        charge(ANCHOR, "100", BillingPeriodStart="2026-11-01 00:00:00"),
        charge(ANCHOR, "1000"),
    ]
    dataset = build_all(rows)
    october = Question(when=Preset.LAST_7_DAYS, basis=Basis.BILLING, grain="day")
    answer = explore(dataset, ALL, october)
    assert answer.frame.period == Period(date(2026, 10, 1), date(2026, 11, 1))
    assert answer.total.steps == (Decimal(11),)
    everything = explore(dataset, ALL, Question(when=Preset.EVERYTHING, basis=Basis.BILLING))
    assert everything.total.steps == (Decimal(11), Decimal(100))


def test_filters_let_through_what_has_one_of_their_values_or_none() -> None:
    rows = [
        charge(ANCHOR, "1", ServiceName="A", RegionName="North"),
        charge(ANCHOR, "10", ServiceName="B", RegionName="North"),
        charge(ANCHOR, "100", ServiceName=None, RegionName="North"),
        charge(ANCHOR, "1000", ServiceName="", RegionName="South", Tags='{"team": "x"}'),
    ]
    dataset = build_all(rows)

    def total(*filters: Filter) -> Decimal:
        return explore(dataset, ALL, Question(filters=filters)).total.cost

    assert total(*only(SERVICE, "A", "B")) == 11
    assert total(*only(SERVICE, None)) == 1100
    assert total(*only(SERVICE, "A", None)) == 1101
    assert total(*only(REGION, "North"), *only(SERVICE, None)) == 100
    assert total(*only(TEAM, "x")) == 1000
    assert total(*only(TEAM, None)) == 111
    assert total(*only(SERVICE)) == 0
    assert total(*only(SERVICE, "a", "A' OR 1=1 --", "%")) == 0


@pytest.mark.parametrize(
    ("order", "ascending", "names"),
    [
        (Order.COST, False, ["b", "C", "a"]),
        (Order.COST, True, ["a", "C", "b"]),
        (Order.NAME, True, ["a", "b", "C"]),
        (Order.NAME, False, ["C", "b", "a"]),
        (Order.PREVIOUS, False, ["a", "b", "C"]),
        (Order.DIFFERENCE, False, ["C", "b", "a"]),
        (Order.CHANGE, False, ["C", "b", "a"]),
    ],
)
def test_lines_are_sorted_as_asked(order: Order, ascending: bool, names: list[str]) -> None:
    rows = [charge(ANCHOR, cost, ServiceName=name) for name, cost in zip("abC", "132", strict=True)]
    rows += [charge(date(2026, 9, 1), "5", ServiceName="a")]
    rows += [charge(date(2026, 9, 1), "2", ServiceName="b")]
    answer = asked(
        rows,
        groups=(SERVICE,),
        when=Preset.THIS_MONTH,
        comparison=Comparison.PERIOD,
        order=order,
        ascending=ascending,
    )
    assert [line.key and line.key[0] for line in answer.lines] == names


def test_another_order_asks_nothing_again() -> None:
    dataset = build_all([charge(ANCHOR, cost, ServiceName=f"s{cost}") for cost in "123"])
    largest = explore(dataset, ALL, Question(groups=(SERVICE,)))
    smallest = explore(dataset, ALL, Question(groups=(SERVICE,), ascending=True))
    assert smallest.lines == largest.lines[::-1]
    assert smallest.lines[0] is largest.lines[-1]
    assert smallest.question.ascending


def test_a_new_version_is_read_anew() -> None:
    dataset = Dataset.objects.create(name="costs", flow="flow")
    source = MemorySource([charge(ANCHOR, "1")])
    for expected in (1, 3):
        builder(dataset, source).build([ANCHOR])
        dataset.refresh_from_db()
        assert explore(dataset, ALL, Question()).total.cost == expected
        source.rows.append(charge(ANCHOR, "2"))


def test_without_a_comparison_its_order_is_that_of_the_cost() -> None:
    rows = [charge(ANCHOR, "1", ServiceName="a"), charge(ANCHOR, "2", ServiceName="b")]
    answer = asked(rows, groups=(SERVICE,), order=Order.CHANGE)
    assert [line.key for line in answer.lines] == [("b",), ("a",)]


def test_a_currency_that_is_not_there_gives_way_and_none_is_mixed() -> None:
    rows = [charge(ANCHOR, "1"), charge(ANCHOR, "2"), charge(ANCHOR, "5", BillingCurrency="USD")]
    dataset = build_all(rows)
    gone = explore(dataset, ALL, Question(currency="GBP"))
    dollars = explore(dataset, ALL, Question(currency="USD"))
    assert (gone.currency, gone.total.cost) == ("EUR", Decimal(3))
    assert (dollars.currency, dollars.total.cost) == ("USD", Decimal(5))
    assert gone.currencies == ("EUR", "USD")


def test_azures_dollars_add_up_over_currencies() -> None:
    rows = [
        charge(ANCHOR, "1", x_EffectiveCostInUsd="1.1", x_BilledCostInUsd="1.1"),
        charge(ANCHOR, "5", BillingCurrency="GBP", x_EffectiveCostInUsd="6.5"),
        charge(ANCHOR, "7", BillingCurrency="CHF"),
    ]
    dataset = build_all(rows)
    answer = explore(dataset, ALL, Question(currency="usd-by-azure", groups=(SERVICE,)))
    assert (answer.currency, answer.total.cost) == ("USD", Decimal("7.6"))
    assert (answer.total.rows, answer.total.missing_rows) == (3, 1)
    assert answer.convertible
    by_row = explore(dataset, ALL, Question(currency="usd-by-azure", groups=(RESOURCE,)))
    assert (by_row.read, by_row.total.cost) == ("rows", Decimal("7.6"))


def test_without_azures_dollars_there_is_no_such_choice() -> None:
    answer = asked([charge(ANCHOR, "3")], currency="usd-by-azure")
    assert (answer.currency, answer.total.cost, answer.convertible) == ("EUR", Decimal(3), False)


def test_a_scope_shows_its_rows_only() -> None:
    rows = [
        charge(ANCHOR - DAY, "1", SubAccountId="mine"),
        charge(ANCHOR, "10", SubAccountId="theirs", BillingCurrency="CHF", ServiceName="Secret"),
        charge(ANCHOR, "100", SubAccountId=None),
    ]
    dataset = build_all(rows)
    answer = explore(dataset, Scope(frozenset({"mine"})), Question(groups=(SERVICE,)))
    assert costs(answer) == {("Compute",): Decimal(1)}
    assert answer.currencies == ("EUR",)
    assert answer.data == Period(ANCHOR - DAY, ANCHOR)
    with pytest.raises(NoCostsInScope):
        explore(dataset, NOTHING, Question())


def test_no_charges_at_all_are_told_apart() -> None:
    with pytest.raises(NoCostData, match="no charges yet"):
        explore(Dataset.objects.create(name="empty", flow="empty"), ALL, Question())


@pytest.mark.parametrize("groups", [(SERVICE,), (RESOURCE,)], ids=["rollup", "rows"])
def test_a_day_published_again_counts_once(groups: tuple[Dimension, ...]) -> None:
    dataset = Dataset.objects.create(name="costs", flow="flow")
    source = MemorySource([charge(ANCHOR - DAY, "1"), charge(ANCHOR, "2")])
    builder(dataset, source).build(source.days())
    source.rows[0] = charge(ANCHOR - DAY, "10")
    builder(dataset, source).build([ANCHOR - DAY])
    dataset.refresh_from_db()
    assert explore(dataset, ALL, Question(groups=groups)).total.cost == Decimal(12)


def test_a_metric_without_a_value_is_counted_and_adds_nothing() -> None:
    answer = asked(
        [charge(ANCHOR, None), charge(ANCHOR, "1")], metric=Metric.LIST, groups=(RESOURCE,)
    )
    assert (answer.total.cost, answer.total.missing_rows) == (Decimal(1), 1)


@pytest.mark.parametrize("key", ["", "charge_day", "document_id", "tag:", "tag:" + "x" * 600, "1;"])
def test_what_is_no_dimension_is_refused(key: str) -> None:
    with pytest.raises(UnknownDimension):
        dimension_named(key)
