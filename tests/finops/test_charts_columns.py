"""Stacked columns: true to scale, negatives below the axis, readable by everybody, CSP-clean."""

import re
from collections.abc import Sequence
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.charts.columns import Column, marks_sums, stacked_columns
from tests.finops.svg import parse, stack, texts, with_class

VALUES = st.decimals(min_value=-(10**9), max_value=10**9, places=6)


def column(name: str, *values: Decimal | int | str, era: str = "2026") -> Column:
    return Column(name, name[:3], era, tuple(Decimal(value) for value in values))


def draw(columns: Sequence[Column]) -> ET.Element:
    return parse(
        stacked_columns(
            columns,
            colours=range(len(columns[0].values)),
            tick_label=lambda tick, axis: f"{tick}",
            value_label=lambda value: f"{value}",
            labelled_by="heading",
        )
    )


def zero_line(root: ET.Element) -> float:
    return float(with_class(root, "zero")[0].get("y1", ""))


def test_segments_stack_upwards_true_to_scale() -> None:
    root = draw([column("Jan", 30, 10)])
    low, high = stack(with_class(root, "column")[0])
    assert low.bottom == pytest.approx(zero_line(root))
    assert high.bottom == pytest.approx(low.top - 1, abs=0.2)  # a pixel parts them
    assert (low.bottom - low.top + 1) / (high.bottom - high.top + 1) == pytest.approx(3, abs=0.05)


def test_negative_segments_hang_below_the_axis() -> None:
    root = draw([column("Jan", 30, -10, -5)])
    up, first, second = stack(with_class(root, "column")[0])
    zero = zero_line(root)
    assert up.bottom <= zero + 0.1
    assert zero <= first.top < first.bottom < second.top + 1.1
    assert (up.colour, first.colour, second.colour) == ("c0", "c1", "c2")


def test_what_a_column_is_compared_with_is_marked_and_always_in_sight() -> None:
    columns = [
        Column("Jan", "Jan", "2026", (Decimal(30),), before=Decimal(60)),
        Column("Feb", "Feb", "2026", (Decimal(30),), before=Decimal(-30)),
        Column("Mar", "Mar", "2026", (Decimal(30),)),
    ]
    higher, lower, alone = with_class(draw(columns), "column")
    top = stack(higher)[0].top
    zero = stack(higher)[0].bottom
    assert float(with_class(higher, "before")[0].get("y1", "")) == pytest.approx(2 * top - zero)
    assert float(with_class(lower, "before")[0].get("y1", "")) == pytest.approx(2 * zero - top)
    assert with_class(alone, "before") == []


def test_a_column_on_both_sides_marks_its_sum() -> None:
    columns = [column("Jan", 30, -10), column("Feb", 5, 5), column("Mar", 30, "-0.001")]
    both, above, unseen = with_class(draw(columns), "column")
    assert len(with_class(both, "net")) == 1
    assert with_class(above, "net") == with_class(unseen, "net") == []
    assert marks_sums(columns)
    assert not marks_sums(columns[1:])


@given(rows=st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=20))
def test_nothing_leaves_the_drawing(rows: list[tuple[Decimal, Decimal, Decimal]]) -> None:
    root = draw([column(f"c{i}", *values) for i, values in enumerate(rows)])
    for one in with_class(root, "column"):
        assert all(0 <= part.top <= part.bottom <= 320 for part in stack(one))


def test_columns_are_list_items_that_name_their_sum() -> None:
    root = draw([column("Jan 2026", 30, -10), column("Feb 2026", 5, 5)])
    items = [one for one in root.iter("g") if one.get("role") == "listitem"]
    assert [item.get("aria-label") for item in items] == ["Jan 2026: 20", "Feb 2026: 10"]
    assert [item.get("tabindex") for item in items] == ["-1", "0"]
    assert [item.get("data-row") for item in items] == ["0", "1"]


def test_names_are_escaped() -> None:
    root = draw([column('<b>"&', 1)])
    assert with_class(root, "column")[0].get("aria-label") == '<b>"&: 1'


def test_there_is_no_style_and_no_colour_in_the_markup() -> None:
    root = draw([column("Jan", 30, -10)])
    for element in root.iter():
        assert not {"style", "fill", "stroke"} & set(element.keys())
        assert element.tag not in {"style", "script"}


def test_an_empty_period_is_drawn_as_an_empty_column() -> None:
    root = draw([column("Jan", 0, 0), column("Feb", 0, 0)])
    assert [stack(one) for one in with_class(root, "column")] == [[], []]


@pytest.mark.parametrize("count", [1, 2, 13, 31, 62])
def test_the_last_column_always_keeps_its_label(count: int) -> None:
    root = draw([column(f"{i:03}", 1) for i in range(count)])
    ticks = with_class(root, "ticks")[0]
    always = [one for one in ticks if not one.get("class")]
    assert texts(always)[-1] == f"{count - 1:03}"
    assert len(always) <= 7
    assert len(ticks) <= 32  # with the era


def test_eras_stand_where_they_begin_and_do_not_collide() -> None:
    months = [column(f"{i:03}", 1, era="2025" if i < 3 else "2026") for i in range(13)]
    assert texts(with_class(draw(months), "era")) == ["2025", "2026"]
    assert texts(with_class(draw(months[2:]), "era")) == ["2026"]


def test_axis_labels_are_given_room_for_their_longest() -> None:
    root = parse(
        stacked_columns(
            [column("Jan", 1)],
            colours=[0],
            tick_label=lambda tick, axis: "−CHF 1,200.5k",
            value_label=str,
            labelled_by="heading",
        )
    )
    scale = with_class(root, "scale")[0]
    assert int(scale.get("width", "")) >= 13 * 6.5


def test_the_drawing_stays_small() -> None:
    columns = [column(f"{i:03}", *range(1, 9)) for i in range(13)]
    markup = ET.tostring(draw(columns), encoding="unicode")
    assert len(re.sub(r"\s+", " ", markup)) < 14_000
