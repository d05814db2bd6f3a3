"""Chart and table of the explorer agree: with each other, and with the answer."""

from datetime import date
from decimal import Decimal

import pytest

from accounts.scopes import ALL
from finops.costs.dimensions import DIMENSIONS
from finops.costs.explore import explore
from finops.costs.periods import DAY, Period
from finops.costs.question import Comparison, Preset, Question
from finops.explore.page import ExplorePage, present
from tests.finops.cost_documents import build_all, charge
from tests.finops.oracle import EXACT
from tests.finops.svg import parse, stack, with_class

pytestmark = pytest.mark.django_db
ANCHOR = date(2026, 10, 20)
SERVICE = DIMENSIONS["service_name"]


def shown(**question: object) -> ExplorePage:
    rows = [
        charge(ANCHOR - DAY * back, f"{10 * n + back}.000000000000000001", ServiceName=f"s{n:02}")
        for n in range(12)
        for back in range(40)
    ]
    rows.append(charge(ANCHOR, "-900", ServiceName="credit"))
    asked = Question(groups=(SERVICE,), **question)  # type: ignore[arg-type]
    return present(explore(build_all(rows), ALL, asked))


def added(amounts: list[Decimal]) -> Decimal:
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


@pytest.mark.parametrize("top", [5, 10, 20])
def test_the_legend_the_steps_and_the_table_add_up_to_the_total(top: int) -> None:
    page = shown(top=top, when=Preset.LAST_30_DAYS)
    lines = [*page.lines, *([page.rest] if page.rest else [])]
    total = page.total.cost.value
    assert added([line.cost.value for line in lines]) == total
    assert added([series.total.value for series in page.chart.legend]) == total
    assert added([row.total.value for row, _ in page.chart.rows]) == total
    for row, _ in page.chart.rows:
        assert added([amount.value for amount in row.amounts]) == row.total.value


def test_lines_have_the_colour_of_their_series_however_they_are_sorted() -> None:
    page = shown(when=Preset.LAST_30_DAYS, ascending=True)
    colours = {series.name: series.colour for series in page.chart.legend}
    for line in page.lines:
        assert line.colour == colours.get(line.names[0], 7)
    assert [series.name for series in page.chart.legend][-1] == "Other (6)"


def test_running_sums_end_with_what_the_legend_says() -> None:
    page = shown(when=Preset.LAST_7_DAYS, cumulative=True)
    last, _ = page.chart.rows[-1]
    assert [amount.value for amount in last.amounts] == [
        series.total.value for series in page.chart.legend
    ]
    assert last.total.value == page.total.cost.value


def test_the_day_with_a_net_credit_hangs_below_the_axis() -> None:
    page = shown(when=Preset.LAST_7_DAYS)
    root = parse(page.chart.drawing)
    zero = float(with_class(root, "zero")[0].get("y1", ""))
    last = with_class(root, "column")[-1]
    assert max(part.bottom for part in stack(last)) > zero
    assert page.chart.rows[-1][0].total.value < 0
    assert page.chart.marks_sums


def test_each_step_stands_beside_the_one_before() -> None:
    page = shown(when=Preset.LAST_7_DAYS, comparison=Comparison.PERIOD)
    assert page.chart.before == "Before, 7–13 Oct"
    before = [amount.value for _, amount in page.chart.rows if amount]
    assert page.total.previous is not None
    assert added(before) == page.total.previous.value
    assert len(with_class(parse(page.chart.drawing), "before")) == 7


def test_months_that_are_cut_say_so() -> None:
    page = shown(when=Period(date(2026, 9, 15), date(2026, 10, 21)), grain="month")
    assert [row.name for row, _ in page.chart.rows] == [
        "Sep 2026, 15–30 Sep only",
        "Oct 2026, 1–20 Oct only",
    ]
    assert page.chart.cut == "Sep 2026, 15–30 Sep only; Oct 2026, 1–20 Oct only"


def test_sparklines_of_many_days_are_thinned() -> None:
    page = shown(when=Preset.LAST_90_DAYS, grain="day")
    assert len(page.chart.rows) == 90
    points = next(parse(page.lines[0].trend).iter("polyline")).get("points", "")
    assert len(points.split()) == 30
