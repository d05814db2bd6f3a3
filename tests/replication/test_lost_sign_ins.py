"""A sign-in that is lost is made anew; one that does not help is a missing right."""

from collections.abc import Iterator

import pytest
import structlog
from pymongo.errors import OperationFailure

from replication.slices import Clients, Outcome, SliceResult, run_attempts
from tests.replication.running import Flow

UNAUTHORIZED = OperationFailure("not allowed", 13)


class Attempts:
    """Attempts that last some seconds each and then lose their sign-in, but for the last."""

    def __init__(self, *seconds: float) -> None:
        self._seconds: Iterator[float] = iter(seconds)
        self.now = 0.0

    def __call__(self) -> SliceResult:
        lasted = next(self._seconds, None)
        if lasted is None:
            return SliceResult(Outcome.HANDED_OVER)
        self.now += lasted
        raise UNAUTHORIZED


@pytest.mark.parametrize(
    ("seconds", "outcome", "replaced"),
    [
        ((0.1,), Outcome.HANDED_OVER, 1),
        ((0.1, 3600.0, 3600.0), Outcome.HANDED_OVER, 3),
        ((3600.0, 0.1), Outcome.FAILED, 1),
    ],
    ids=["once", "hours apart", "at once again"],
)
def test_a_sign_in_is_made_anew_unless_the_last_one_did_not_help(
    flow: Flow, seconds: tuple[float, ...], outcome: Outcome, replaced: int
) -> None:
    attempts, told = Attempts(*seconds), list[str]()
    result = run_attempts(
        attempts,
        flow.spec,
        Clients(get=flow.client, replace=told.append),
        log=structlog.get_logger(),
        clock=lambda: attempts.now,
    )
    assert result.outcome is outcome
    assert told == ["source", "destination"] * replaced
