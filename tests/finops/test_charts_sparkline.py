"""Sparklines keep to their frame, whatever the values."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from finops.charts.sparkline import sparkline
from tests.finops.svg import parse

VALUES = st.decimals(min_value=-(10**9), max_value=10**9, places=6)


def coordinates(points: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (point.split(",") for point in points.split())]


@given(values=st.lists(VALUES, min_size=2, max_size=62))
def test_the_line_stays_inside(values: list[Decimal]) -> None:
    line = next(parse(sparkline(values)).iter("polyline"))
    points = coordinates(line.get("points", ""))
    assert len(points) == len(values)
    assert all(0 <= x <= 96 and 0 <= y <= 28 for x, y in points)


def test_more_cost_is_higher_up() -> None:
    line = next(parse(sparkline([Decimal(-5), Decimal(0), Decimal(9)])).iter("polyline"))
    first, second, third = (y for _, y in coordinates(line.get("points", "")))
    assert first > second > third


def test_one_value_is_a_dot_and_none_is_nothing() -> None:
    root = parse(sparkline([Decimal(5)]))
    assert [one.tag for one in root.iter()] == ["root", "svg", "circle"]
    assert sparkline([]) == ""


def test_equal_values_run_level() -> None:
    line = next(parse(sparkline([Decimal(4)] * 3)).iter("polyline"))
    assert len({y for _, y in coordinates(line.get("points", ""))}) == 1
