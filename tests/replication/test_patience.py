"""How long a flow waits after failures in a row."""

import time
from typing import cast

import pytest
import structlog
from pymongo.errors import AutoReconnect, OperationFailure

from replication.errors import TokenUnavailable
from replication.lease import LeaseKeeper
from replication.patience import Patience


class HeldLease:
    """A lease that is never lost; keeps what was reported."""

    lost = False

    def __init__(self) -> None:
        self.errors: list[str | None] = []

    def report(self, *, error: str | None, caught_up_at: object) -> None:
        self.errors.append(error)


@pytest.mark.parametrize(
    ("error", "least", "below"),
    [
        (TokenUnavailable("No Entra token"), 0.25, 1.5),
        (AutoReconnect("connection closed"), 1.5, 20.0),
    ],
    ids=["no token", "another failure"],
)
def test_pauses_for_a_token_stay_short(error: Exception, least: float, below: float) -> None:
    keeper = HeldLease()
    patience = Patience(cast(LeaseKeeper, keeper), lambda: True, log=structlog.get_logger())
    began = time.monotonic()
    patience.pause(20, error)
    assert least <= time.monotonic() - began < below
    assert len(keeper.errors) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TokenUnavailable("No Entra token"), "no_token"),
        (AutoReconnect("connection closed"), "network"),
        (OperationFailure("too many requests", 16500), "throttled"),
        (OperationFailure("a conflict", 112), "conflict"),
        (OperationFailure("no primary", 189), "other"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_failures_have_few_kinds(error: Exception, kind: str) -> None:
    told: list[str] = []
    keeper = cast(LeaseKeeper, HeldLease())
    patience = Patience(keeper, lambda: True, log=structlog.get_logger(), retried=told.append)
    patience.pause(1, error)
    assert told == [kind]
