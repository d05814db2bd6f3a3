"""A server that cannot keep up is left alone for as long as it asks, and gets less at once."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
import structlog
from bson import Binary
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from replication.changes import BatchLimits
from replication.lease import LeaseKeeper, Leases
from replication.patience import Patience
from replication.position import control_database
from replication.throttle import LookupPace, StatementPace, Throttle
from tests.replication.running import Document, Flow, raw, running


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_statements_grow_while_they_are_answered_quickly_and_shrink_when_they_are_not() -> None:
    pace = StatementPace()
    sizes = []
    for seconds in (0.1, 0.1, 0.3, 0.1, 0.1, 0.6, 0.6):
        pace.note(pace.writes, seconds)
        sizes.append(pace.writes)
    assert sizes == [2_000, 4_000, 4_000, 8_000, 10_000, 5_000, 2_500]
    pace.note(2_499, 0.1)  # tells nothing of a full one
    assert pace.writes == 2_500
    for _ in range(9):
        pace.note(1, 9)
    assert pace.writes == 100


def test_batches_are_halved_and_grow_again_slowly() -> None:
    clock = Clock()
    throttle = Throttle(BatchLimits(writes=1000, size=8000), clock=clock)
    assert throttle.limits == BatchLimits(writes=1000, size=8000)
    throttle.slow_down()
    throttle.slow_down()
    assert (throttle.limits.writes, throttle.limits.size) == (250, 2000)
    clock.now += 5
    assert throttle.limits.writes == 500
    clock.now += 60
    assert throttle.limits.writes == 1000


def test_something_is_always_allowed() -> None:
    throttle = Throttle(clock=Clock())
    for _ in range(100):
        throttle.slow_down()
    assert throttle.limits.writes == 10


@pytest.fixture
def keeper(mongo: MongoClient[Document]) -> Iterator[LeaseKeeper]:
    leases = Leases(control_database(mongo), lifetime=timedelta(seconds=30))
    grant = leases.acquire(str(uuid4()), uuid4(), session=Binary(bytes(16), 4), seed=0)
    assert grant is not None
    with LeaseKeeper(leases, grant) as keeper:
        yield keeper


@pytest.mark.parametrize(
    ("error", "share", "least"),
    [
        (OperationFailure("RetryAfterMs=300", 16500), 0.5, 0.3),
        (OperationFailure("RetryAfterMs=300", 112), 1.0, 0.0),
    ],
    ids=["throttled", "another failure"],
)
def test_only_a_busy_server_gets_the_pause_that_it_asks_for_and_less(
    keeper: LeaseKeeper, error: OperationFailure, share: float, least: float
) -> None:
    patience = Patience(keeper, lambda: True, log=structlog.get_logger())
    began = time.monotonic()
    patience.pause(1, error)
    assert time.monotonic() - began >= least
    assert patience.throttle.share == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize(
    ("seconds", "keys"),
    [
        (lambda keys: 0.02 + keys / 100_000, 3200),
        (lambda keys: 0.001 + (keys / 1000) ** 2, 100),
        (lambda keys: 0.1 + (keys / 1000) ** 2, 400),
    ],
    ids=["a round trip away", "slow at many", "both"],
)
def test_as_many_keys_go_into_a_query_as_makes_each_cheapest(
    seconds: Callable[[int], float], keys: int
) -> None:
    pace = LookupPace()
    for _ in range(30):
        pace.note(pace.keys, seconds(pace.keys))
        pace.note(7, 100.0)  # the last one of a batch tells nothing
    assert pace.keys == keys


def test_a_flow_carries_on_over_a_throttling_server(
    flow: Flow, mongo: MongoClient[Document]
) -> None:
    with running(flow):
        flow.wait_until_consistent()
        mongo.admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": {"times": 4},
                "data": {"failCommands": ["update"], "errorCode": 16500},
            }
        )
        flow.source.insert_many([{"_id": n} for n in range(20)])
        flow.wait_for_events(20)
    assert raw(flow.copy) == raw(flow.source)
