"""The values to filter by: counted, searched, and never from outside a scope."""

from datetime import date
from decimal import Decimal

import pytest
from django.core.cache import cache

from accounts.scopes import ALL, Scope
from finops.costs.dimensions import DIMENSIONS, dimension_named
from finops.costs.explore_values import MOST, tag_keys, values_of
from finops.costs.periods import DAY
from finops.costs.question import Filter, Question
from finops.models import Dataset
from tests.finops.cost_documents import build_all, charge

pytestmark = pytest.mark.django_db
ANCHOR = date(2026, 10, 20)
SERVICE, REGION = DIMENSIONS["service_name"], DIMENSIONS["region_name"]


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def costs() -> Dataset:
    return build_all(
        [
            charge(ANCHOR, "1", ServiceName="Compute", RegionName="North", SubAccountId="mine"),
            charge(ANCHOR, "2", ServiceName="Compute", RegionName="South"),
            charge(ANCHOR, "-9", ServiceName="Ünicode 100%", RegionName="North"),
            charge(ANCHOR, "5", ServiceName=None, RegionName="South", Tags='{"team": "blue"}'),
            charge(ANCHOR, "5", ServiceName="", RegionName="South"),
            charge(ANCHOR - DAY * 90, "7", ServiceName="Old"),
            charge(ANCHOR, "7", ServiceName="Dollars", BillingCurrency="USD"),
        ]
    )


def listed(dataset: Dataset, *filters: Filter) -> list[object]:
    found = values_of(dataset, ALL, Question(filters=filters), SERVICE)
    return [(value.text, value.rows, value.cost, value.chosen) for value in found.values]


def test_values_have_their_rows_and_costs_the_largest_first(costs: Dataset) -> None:
    assert listed(costs) == [
        (None, 2, Decimal(10), False),
        ("Ünicode 100%", 1, Decimal(-9), False),
        ("Compute", 2, Decimal(3), False),
    ]


def test_the_other_filters_count_and_its_own_does_not(costs: Dataset) -> None:
    filters = (
        Filter(REGION, frozenset({"North"})),
        Filter(SERVICE, frozenset({"Compute", None, "Old"})),
    )
    assert listed(costs, *filters) == [
        ("Compute", 1, Decimal(1), True),
        ("Old", 0, Decimal(0), True),
        (None, 0, Decimal(0), True),
        ("Ünicode 100%", 1, Decimal(-9), False),
    ]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("COMP", ["Compute"]),
        ("ünI", ["Ünicode 100%"]),
        ("%", ["Ünicode 100%"]),
        ("_", []),
        ("' OR 1=1", []),
    ],
)
def test_a_search_is_text_within_a_value_in_any_case(
    costs: Dataset, search: str, found: list[str]
) -> None:
    values = values_of(costs, ALL, Question(), SERVICE, search).values
    assert [value.text for value in values] == found


def test_what_does_not_fit_is_counted() -> None:
    rows = [charge(ANCHOR, str(n), ServiceName=f"service {n}") for n in range(MOST + 20)]
    found = values_of(build_all(rows), ALL, Question(), SERVICE, "service")
    assert (len(found.values), found.matching) == (MOST, MOST + 20)


def test_a_scopes_values_are_those_of_its_rows(costs: Dataset) -> None:
    mine = Scope(frozenset({"mine"}))
    found = values_of(costs, mine, Question(), REGION)
    assert [value.text for value in found.values] == ["North"]
    assert (found.values[0].rows, found.values[0].cost) == (1, Decimal(1))
    assert tag_keys(costs, mine) == ()
    assert tag_keys(costs, ALL) == ("team",)


def test_values_of_a_tag_come_from_the_rows(costs: Dataset) -> None:
    found = values_of(costs, ALL, Question(), dimension_named("tag:team"))
    assert {value.text: value.rows for value in found.values} == {"blue": 1, None: 4}
