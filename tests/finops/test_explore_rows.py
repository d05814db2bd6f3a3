"""Rows page by page: every row once, in order, with the columns that were asked for."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from accounts.scopes import ALL, Scope
from finops.costs.dimensions import DIMENSIONS
from finops.costs.explore_rows import PAGE, Place, Row, extra_columns, rows_page, stream_rows
from finops.costs.periods import DAY, Period
from finops.costs.question import Basis, Filter, Preset, Question
from finops.models import Dataset
from tests.finops.cost_documents import build_all, charge

pytestmark = pytest.mark.django_db
ANCHOR = date(2026, 10, 20)
EVERYTHING = Question(when=Preset.EVERYTHING)


@pytest.fixture
def costs() -> Dataset:
    return build_all(charge(ANCHOR - DAY * (n % 7), str(n), SkuId=str(n)) for n in range(173))


def test_pages_show_every_row_once_the_latest_day_first(costs: Dataset) -> None:
    seen: list[Row] = []
    after = None
    while True:
        page = rows_page(costs, ALL, EVERYTHING, ["sku_id"], after=after)
        assert page.has_earlier is (after is not None)
        seen += page.rows
        if not page.has_later:
            break
        assert len(page.rows) == PAGE
        after = page.rows[-1].place
    assert len({row.values[0] for row in seen}) == len(seen) == 173
    places = [(-row.place.day.toordinal(), row.place.id) for row in seen]
    assert places == sorted(places)


def test_the_way_back_shows_the_same_rows(costs: Dataset) -> None:
    first = rows_page(costs, ALL, EVERYTHING, ["sku_id"])
    second = rows_page(costs, ALL, EVERYTHING, ["sku_id"], after=first.rows[-1].place)
    back = rows_page(costs, ALL, EVERYTHING, ["sku_id"], before=second.rows[0].place)
    assert back.rows == first.rows
    assert (back.has_earlier, back.has_later) == (False, True)


def test_filters_periods_and_scopes_hold_for_rows(costs: Dataset) -> None:
    one = Question(
        when=Period(ANCHOR, ANCHOR + DAY),
        filters=(Filter(DIMENSIONS["sku_id"], frozenset({"0", "1", "7"})),),
    )
    found = rows_page(costs, ALL, one, ["effective_cost"]).rows
    assert [row.values for row in found] == [(Decimal(0),), (Decimal(7),)]
    billed = Question(when=Preset.EVERYTHING, basis=Basis.BILLING)
    assert rows_page(costs, ALL, billed, ["sku_id"]).rows == ()


def test_values_have_their_types() -> None:
    dataset = build_all(
        [charge(ANCHOR, "1.5", Tags='{"a": "b"}', ChargePeriodStart=f"{ANCHOR} 23:59:58")]
    )
    columns = ["charge_day", "charge_period_start", "billed_cost", "tags", "region_name"]
    assert rows_page(dataset, ALL, Question(), columns).rows[0].values == (
        ANCHOR,
        datetime(2026, 10, 20, 23, 59, 58, tzinfo=UTC).replace(tzinfo=None),
        Decimal("1.5"),
        {"a": "b"},
        None,
    )


@pytest.mark.parametrize("columns", [[], ["nowhere"], ["1; DROP TABLE x"]])
def test_other_columns_are_refused(costs: Dataset, columns: list[str]) -> None:
    with pytest.raises(ValueError, match="none of the rows"):
        rows_page(costs, ALL, EVERYTHING, columns)


def test_a_stream_has_every_row_in_the_order_of_days(
    costs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finops.costs.explore_rows._CHUNK", 10)
    rows = list(stream_rows(costs, ALL, EVERYTHING, ["charge_day", "sku_id"]))
    assert len({sku for _, sku in rows}) == len(rows) == 173
    assert [day for day, _ in rows] == sorted(day for day, _ in rows)


def test_a_stream_and_its_columns_are_a_scopes() -> None:
    dataset = build_all(
        [
            charge(ANCHOR, "1", SubAccountId="mine", x_Mine="1"),
            charge(ANCHOR, "2", SubAccountId="theirs", x_Theirs="1"),
        ]
    )
    mine = Scope(frozenset({"mine"}))
    assert list(stream_rows(dataset, mine, EVERYTHING, ["billed_cost"])) == [(Decimal(1),)]
    assert extra_columns(dataset, mine, EVERYTHING) == ("x_Mine",)
    assert extra_columns(dataset, ALL, EVERYTHING) == ("x_Mine", "x_Theirs")


def test_a_place_beyond_the_end_has_no_rows(costs: Dataset) -> None:
    page = rows_page(costs, ALL, EVERYTHING, ["sku_id"], after=Place(date(2000, 1, 1), "x"))
    assert (page.rows, page.has_later) == ((), False)
