"""The changes of the last minutes are counted where the position counts them all."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from replication.throughput import MINUTES, Recent, by_minute, counted

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 50)), max_size=60))
def test_every_event_of_the_last_minutes_counts_in_its_minute(
    batches: list[tuple[int, int]],
) -> None:
    now = START
    recent: Recent = ()
    told: list[tuple[datetime, int]] = []
    for seconds, events in batches:
        now += timedelta(seconds=seconds)
        recent = counted(recent, events, now)
        told.append((now, events))
    shown = by_minute(recent, now)
    minute = now.replace(second=0)
    for back in range(MINUTES):
        begin = minute - timedelta(minutes=back)
        expected = sum(n for at, n in told if begin <= at < begin + timedelta(minutes=1))
        assert shown[MINUTES - 1 - back] == expected
    assert len(recent) <= MINUTES


def test_quiet_minutes_are_zero_and_old_ones_forgotten() -> None:
    recent = counted((), 5, START)
    assert by_minute(recent, START)[-1] == 5
    assert by_minute(recent, START + timedelta(minutes=2))[-3:] == (5, 0, 0)
    later = START + timedelta(minutes=MINUTES)
    assert set(by_minute(recent, later)) == {0}
    assert counted(recent, 0, later) == []


def test_a_clock_that_goes_back_loses_what_is_to_come() -> None:
    recent = counted(counted((), 5, START), 3, START - timedelta(minutes=1))
    assert by_minute(recent, START - timedelta(minutes=1))[-1] == 3
