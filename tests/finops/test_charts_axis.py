"""Axes hold every value, include zero, and step on round numbers."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.charts.axis import nice_axis

VALUES = st.decimals(min_value=-(10**12), max_value=10**12, places=12)


@given(one=VALUES, other=VALUES)
def test_an_axis_holds_its_values_and_zero(one: Decimal, other: Decimal) -> None:
    lowest, highest = min(one, other), max(one, other)
    axis = nice_axis(lowest, highest)
    assert axis.low <= min(lowest, Decimal(0))
    assert axis.high >= max(highest, Decimal(0))
    assert 0 in axis.ticks
    assert (axis.ticks[0], axis.ticks[-1]) == (axis.low, axis.high)
    assert 2 <= len(axis.ticks) <= 8


@given(one=VALUES, other=VALUES)
def test_the_step_is_a_round_number(one: Decimal, other: Decimal) -> None:
    step = nice_axis(min(one, other), max(one, other)).step
    assert step.normalize().as_tuple().digits in {(1,), (2,), (2, 5), (5,)}


@pytest.mark.parametrize(
    ("lowest", "highest", "ticks"),
    [
        ("0", "243", "0 50 100 150 200 250"),
        ("-0.087", "0.9", "-0.2 0.0 0.2 0.4 0.6 0.8 1.0"),
        ("-3", "0", "-3 -2 -1 0"),
        ("0", "0", "0 1"),
    ],
)
def test_examples(lowest: str, highest: str, ticks: str) -> None:
    expected = [Decimal(tick) for tick in ticks.split()]
    assert list(nice_axis(Decimal(lowest), Decimal(highest)).ticks) == expected


def test_positions_run_from_the_bottom_to_the_top() -> None:
    axis = nice_axis(Decimal(-100), Decimal(300))
    assert [axis.position(tick) for tick in axis.ticks] == [1, 0.75, 0.5, 0.25, 0]
