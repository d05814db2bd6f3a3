"""What was looked up is remembered for as long as the stream has not caught up with it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replication.lookups import UNKNOWN_TIME, Ahead, from_timestamp, to_timestamp

_SECOND = 1 << 32  # of cluster time
_STEPS = st.lists(
    st.tuples(st.sampled_from(["note", "pass"]), st.integers(0, 9), st.integers(1, 30)),
    max_size=40,
)


def key(number: int) -> bytes:
    return b"key %d" % number


@pytest.mark.parametrize("remembered", [3, 1_000], ids=["few", "all"])
@settings(max_examples=60, deadline=None)
@given(steps=_STEPS)
def test_no_key_that_may_be_ahead_is_ever_forgotten(
    steps: list[tuple[str, int, int]], remembered: int
) -> None:
    ahead, known, stream = Ahead(remembered=remembered), dict.fromkeys(range(10), 0), 0
    for step, number, seconds in steps:
        if step == "note":
            ahead.note(key(number), seconds * _SECOND)
            known[number] = max(known[number], seconds * _SECOND)
        else:
            stream = max(stream, seconds * _SECOND)
            ahead.passed(stream)
        for each, until in known.items():
            for time in range(stream + 1, 31 * _SECOND, _SECOND):
                if time <= until:
                    assert ahead.includes(key(each), time)
                elif remembered > 10:
                    assert not ahead.includes(key(each), time)


def test_a_new_owner_takes_every_key_for_ahead_until_the_stream_has_passed_the_time() -> None:
    ahead = Ahead(to_timestamp(5 * _SECOND + 2))
    assert ahead.includes(key(1), 5 * _SECOND + 2)
    assert not ahead.includes(key(1), 5 * _SECOND + 3)
    ahead.passed(5 * _SECOND + 2)
    assert ahead.includes(key(2), 5 * _SECOND + 2)
    ahead.passed(6 * _SECOND)
    assert not ahead.includes(key(2), 5 * _SECOND)


@pytest.mark.parametrize("remembered", [1, 1_000], ids=["few", "all"])
def test_look_ups_at_an_unknown_time_count_until_the_source_has_nothing_more(
    remembered: int,
) -> None:
    ahead = Ahead(to_timestamp(UNKNOWN_TIME), remembered=remembered)
    ahead.asked()
    for number in range(3):
        ahead.note(key(number), UNKNOWN_TIME)
    assert ahead.includes(key(7), 10**9 * _SECOND)
    ahead.caught_up()
    assert not any(ahead.includes(key(number), 1) for number in (0, 1, 2, 7))


def test_a_key_that_is_being_looked_up_is_ahead_of_everything() -> None:
    ahead = Ahead()
    ahead.asked()
    ahead.begin([key(1)])
    assert ahead.includes(key(1), 10**9 * _SECOND)
    assert ahead.overtakes(key(1))
    assert not ahead.overtakes(key(2))
    ahead.end([key(1)], 3 * _SECOND)
    assert ahead.includes(key(1), 3 * _SECOND)
    assert not ahead.includes(key(1), 4 * _SECOND)
    assert ahead.overtakes(key(1))  # the answer that is being read may be older
    ahead.asked()
    assert not ahead.overtakes(key(1))


@given(st.integers(0, UNKNOWN_TIME))
def test_a_cluster_time_and_its_number_are_one(time: int) -> None:
    assert from_timestamp(to_timestamp(time)) == time
