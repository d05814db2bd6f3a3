"""Presets, and what a period is compared with."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.costs.explore_frame import LONGEST_BY_DAY, frame_of
from finops.costs.periods import DAY, Period
from finops.costs.question import (
    Basis,
    Comparison,
    Preset,
    Question,
    previous,
    whole_months,
    year_before,
)
from tests.finops.overviews import period

DATA = Period(date(2024, 3, 7), date(2026, 10, 21))


@pytest.mark.parametrize(
    ("preset", "start", "end"),
    [
        (Preset.THIS_MONTH, "2026-10-01", "2026-10-21"),
        (Preset.LAST_MONTH, "2026-09-01", "2026-10-01"),
        (Preset.LAST_7_DAYS, "2026-10-14", "2026-10-21"),
        (Preset.LAST_30_DAYS, "2026-09-21", "2026-10-21"),
        (Preset.LAST_90_DAYS, "2026-07-23", "2026-10-21"),
        (Preset.LAST_3_MONTHS, "2026-08-01", "2026-10-21"),
        (Preset.LAST_6_MONTHS, "2026-05-01", "2026-10-21"),
        (Preset.LAST_13_MONTHS, "2025-10-01", "2026-10-21"),
        (Preset.THIS_YEAR, "2026-01-01", "2026-10-21"),
        (Preset.LAST_YEAR, "2025-01-01", "2026-01-01"),
        (Preset.EVERYTHING, "2024-03-07", "2026-10-21"),
    ],
)
def test_presets_end_with_the_data(preset: Preset, start: str, end: str) -> None:
    assert preset.period(DATA) == period(start, end)


def test_presets_have_names() -> None:
    assert [preset.label for preset in (Preset.THIS_MONTH, Preset.LAST_7_DAYS)] == [
        "This month",
        "Last 7 days",
    ]


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (("2026-10-01", "2026-11-01"), ("2026-09-01", "2026-10-01")),
        (("2026-10-01", "2026-10-21"), ("2026-09-01", "2026-09-21")),
        (("2026-03-01", "2026-04-01"), ("2026-02-01", "2026-03-01")),
        (("2026-03-01", "2026-03-31"), ("2026-02-01", "2026-03-01")),
        (("2026-08-01", "2026-10-21"), ("2026-05-01", "2026-07-21")),
        (("2026-01-01", "2027-01-01"), ("2025-01-01", "2026-01-01")),
        (("2026-10-14", "2026-10-21"), ("2026-10-07", "2026-10-14")),
        (("2026-10-02", "2026-10-03"), ("2026-10-01", "2026-10-02")),
    ],
)
def test_the_previous_period(now: tuple[str, str], before: tuple[str, str]) -> None:
    assert previous(period(*now)) == period(*before)


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (("2026-10-01", "2026-10-21"), ("2025-10-01", "2025-10-21")),
        (("2025-02-01", "2025-03-01"), ("2024-02-01", "2024-03-01")),
        (("2024-02-01", "2024-03-01"), ("2023-02-01", "2023-03-01")),
        (("2024-02-01", "2024-02-29"), ("2023-02-01", "2023-03-01")),
        (("2024-02-29", "2024-03-01"), ("2023-02-28", "2023-03-01")),
        (("2026-09-21", "2026-10-21"), ("2025-09-21", "2025-10-21")),
    ],
)
def test_the_year_before(now: tuple[str, str], before: tuple[str, str]) -> None:
    assert year_before(period(*now)) == period(*before)


days = st.dates(date(2001, 1, 1), date(2099, 12, 31))
periods = st.builds(
    lambda start, length: Period(start, start + DAY * length), days, st.integers(1, 800)
)


@given(
    periods,
    st.sampled_from(Comparison),
    st.sampled_from(Basis),
    st.sampled_from(["day", "month", None]),
)
def test_every_day_of_a_period_has_one_bucket(
    asked: Period, comparison: Comparison, basis: Basis, grain: object
) -> None:
    question = Question(when=asked, comparison=comparison, basis=basis, grain=grain)  # type: ignore[arg-type]
    frame = frame_of(question, DATA)
    bounds = [bucket.start for bucket in frame.buckets] + [frame.buckets[-1].end]
    assert bounds == sorted(set(bounds))
    assert (bounds[0], bounds[-1]) == (frame.period.start, frame.period.end)
    assert len(frame.buckets) <= max(LONGEST_BY_DAY, 120)
    for place, bucket in enumerate(frame.buckets):
        step = bucket.start if frame.grain == "day" else bucket.start.replace(day=1)
        assert frame.place(step) == place
    if frame.previous is not None:
        assert frame.previous.start < frame.period.start
        assert comparison is Comparison.YEAR or frame.previous.end <= frame.period.start


@given(periods)
def test_whole_months_hold_the_period(asked: Period) -> None:
    whole = whole_months(asked)
    assert (whole.start.day, whole.end.day) == (1, 1)
    assert whole.start <= asked.start
    assert asked.end <= whole.end
