"""The overview says what its figures say, and says where they end."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from finops.costs.metrics import Metric
from finops.costs.overview import MetricTotal
from finops.overview_page import present
from tests.finops.overviews import Costs, make_overview, month_buckets
from tests.finops.svg import parse, stack, with_class

ABSENT = MetricTotal(Metric.CONTRACTED, Decimal("14.97626039326"), None, None, missing_rows=7)


def test_tiles_show_rounded_and_exact_amounts() -> None:
    overview = make_overview({"Compute": [0, "20.52022672899"]}, currency="USD")
    tile = present(overview).tiles[0]
    assert tile.label == "Billed cost"
    assert tile.amount.text == "$20.52"
    assert tile.amount.exact == "20.52022672899"


def test_tiles_compare_the_same_days_of_the_month_before() -> None:
    tile = present(make_overview({"Compute": [100, 103]})).tiles[0]
    assert tile.change is not None
    assert (tile.change.text, tile.change.tone) == ("+3.0%", "bad")
    assert tile.comparison == "1–20 Oct against 1–20 Sep"


def test_a_shorter_month_before_is_named_as_it_is() -> None:
    overview = make_overview({"Compute": [100, 103]}, anchor=date(2026, 3, 31))
    assert present(overview).tiles[0].comparison == "1–31 Mar against 1–28 Feb"


def test_tiles_without_anything_before_say_so() -> None:
    overview = replace(make_overview({"Compute": [5]}), totals=(ABSENT,))
    tile = present(overview).tiles[0]
    assert tile.change is None
    assert tile.comparison == "1–20 Oct, no earlier data"
    assert tile.note == "7 rows have no contracted cost"


def test_a_month_before_without_cost_is_not_missing_data() -> None:
    total = MetricTotal(Metric.BILLED, Decimal(5), Decimal(0), None, missing_rows=0)
    tile = present(replace(make_overview({"Compute": [0, 5]}), totals=(total,))).tiles[0]
    assert tile.comparison == "1–20 Oct, nothing in 1–20 Sep"
    assert tile.note == ""


def test_the_legend_and_the_chart_agree_on_colours() -> None:
    costs: Costs = {f"Service {n}": [n, n] for n in range(7, 0, -1)}
    page = present(make_overview(costs, other=["0.5", "0.5"]))
    assert [one.colour for one in page.legend] == list(range(8))
    column = with_class(parse(page.chart), "column")[-1]
    assert [part.colour for part in stack(column)] == [f"c{n}" for n in range(8)]


def test_the_rest_is_grey_even_where_it_is_the_second() -> None:
    page = present(make_overview({"Compute": [1, 1]}, other=[1, 1]))
    assert [one.colour for one in page.legend] == [0, 7]


def test_the_table_of_the_chart_adds_up_to_its_total() -> None:
    page = present(make_overview({"A": ["1.25", "-3"], "B": ["0.001", 7]}))
    for row in page.chart_rows:
        assert sum(amount.value for amount in row.amounts) == row.total.value
    assert sum(row.total.value for row in page.chart_rows) == page.span_total.value
    assert page.marks_sums


def test_a_month_that_has_not_ended_is_marked_and_named() -> None:
    page = present(make_overview({"Compute": [3] * 13}))
    assert page.span == "1 Oct 2025 – 20 Oct 2026"
    assert page.partial == "Oct 2026 holds 1–20 Oct only"
    assert page.chart_rows[-1].name == "Oct 2026, to 20 Oct 2026"
    assert len(with_class(parse(page.chart), "partial")) == 1


def test_a_trend_ends_with_the_last_whole_month() -> None:
    costs = [*range(1, 13), 1]
    month_to_date = present(make_overview({"Compute": costs})).services[0].trend
    whole = present(make_overview({"Compute": costs}, anchor=date(2026, 10, 31))).services[0].trend
    lines = [next(parse(one).iter("polyline")).get("points", "") for one in (month_to_date, whole)]
    assert [len(line.split()) for line in lines] == [12, 13]


def test_a_whole_month_is_not() -> None:
    page = present(make_overview({"Compute": [3] * 13}, anchor=date(2026, 10, 31)))
    assert page.span == "Oct 2025 – Oct 2026"
    assert page.partial == ""
    assert with_class(parse(page.chart), "partial") == []


def test_days_are_named_by_day() -> None:
    page = present(make_overview({"Compute": [3] * 20}, grain="day"))
    assert page.span == "1–20 Oct 2026"
    assert page.steps == "20 days"
    assert page.chart_rows[0].name == "1 Oct 2026"


def test_rows_without_a_service_have_a_name() -> None:
    page = present(make_overview({None: [1, 2]}))
    assert page.legend[0].name == page.services[0].name == "No service named"


def test_shares_stay_within_their_bar() -> None:
    page = present(make_overview({"A": [0, 150], "Credits": [0, -50]}))
    assert [(row.share.text, row.share.width) for row in page.services] == [
        ("150.0%", "100.00"),
        ("−50.0%", "0.00"),
    ]


def test_shares_of_nothing_are_a_dash() -> None:
    page = present(make_overview({"A": [0, 0]}))
    assert [(row.share.text, row.share.width) for row in page.services] == [("–", "0.00")]


def test_choosers_mark_what_is_chosen() -> None:
    overview = make_overview({"A": [1, 1]}, currencies=("EUR", "CHF"), metric=Metric.LIST)
    page = present(overview)
    assert [(c.value, c.chosen) for c in page.currencies] == [("CHF", False), ("EUR", True)]
    assert [c.label for c in page.metrics if c.chosen] == ["List"]


def test_thirteen_months_are_the_axis() -> None:
    assert [bucket.label for bucket in month_buckets()][::12] == ["Oct 2025", "Oct 2026"]
