"""Durations are read as people write them, and nothing else is taken for one."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300),
        ("30s", 30),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1h0m0.5s", 3600.5),
        (" 90 ", 90),
        (90, 90),
        (1.5, 1.5),
        (0, 0),
        (timedelta(minutes=2), 120),
    ],
)
def test_a_duration_is_read(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        *("", "m", "5 m", "-5m", "5d", "1e3", "5m30", "٣s"),
        *(-1, True, None, [], float("nan"), float("inf"), timedelta(seconds=-1)),
    ],
)
def test_anything_else_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration(value)


@given(
    hours=st.integers(0, 999),
    minutes=st.integers(0, 59),
    seconds=st.integers(0, 59),
    milliseconds=st.integers(0, 999),
)
def test_the_parts_add_up(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    expected = timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)
    text = f"{hours}h{minutes}m{seconds}s{milliseconds}ms"
    assert parse_duration(text) == pytest.approx(expected.total_seconds())


@given(st.floats(min_value=0, max_value=1e9))
def test_seconds_stay_what_they_are(seconds: float) -> None:
    assert parse_duration(seconds) == seconds
    assert parse_duration(f"{seconds:f}") == pytest.approx(seconds, abs=1e-6)


@given(st.text().filter(lambda text: not set(text) & set("0123456789")))
def test_no_text_without_a_digit_is_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)
