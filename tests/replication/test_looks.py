"""A cluster that is dead is waited for less, and one that is slow more."""

from collections.abc import Callable

import pytest
from pymongo.errors import (
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    ServerSelectionTimeoutError,
)

from replication.errors import UnknownConnection
from replication.looks import LookTimes, look_at_all

DEAD = ServerSelectionTimeoutError("connection refused")
SLOW = NetworkTimeout("timed out")


def after(*errors: Exception | None) -> float:
    times = LookTimes()
    for error in errors:
        times.note("here", error)
    return times.time_for("here")


@pytest.mark.parametrize(
    ("errors", "seconds"),
    [
        ([], 1.5),
        ([DEAD], 0.3),
        ([DEAD] * 7, 0.3),
        ([DEAD] * 8, 1.5),
        ([DEAD] * 9, 0.3),
        ([DEAD, None], 1.5),
        ([SLOW], 3.0),
        ([SLOW, ExecutionTimeout("50", 50)], 6.0),
        ([SLOW] * 99, 6.0),
        ([SLOW, None], 1.5),
        ([SLOW, DEAD], 0.3),
        ([OperationFailure("not allowed", 13)], 1.5),
        ([UnknownConnection("no such row")], 1.5),
    ],
)
def test_the_time_of_a_look_follows_from_those_before(
    errors: list[Exception | None], seconds: float
) -> None:
    assert after(*errors) == seconds


def test_places_are_known_apart() -> None:
    times = LookTimes()
    times.note("dead", DEAD)
    assert (times.time_for("dead"), times.time_for("here")) == (0.3, 1.5)


def test_what_cannot_be_seen_is_left_out() -> None:
    def refuse() -> int:
        raise UnknownConnection("no such row")

    looks: dict[str, Callable[[], int]] = {"one": lambda: 1, "none": refuse, "two": lambda: 2}
    assert look_at_all(looks) == {"one": 1, "two": 2}
    assert look_at_all({}) == {}
