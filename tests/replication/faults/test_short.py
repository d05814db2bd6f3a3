"""The short selection of the matrix that every run of the tests has: one flow, five faults."""

import random

import pytest
from pymongo.uri_parser import parse_uri

from tests.replication.faults.arena import Size
from tests.replication.faults.conftest import NewArena
from tests.replication.faults.matrix import Fault, Operation, Pair
from tests.replication.faults.test_answers import inject
from tests.replication.faults.test_kills import MEET, caught, hold

_SMALL = Size(keys=300)
_KILLS = (
    (Fault.SIGKILL, Operation.BEFORE_COMMIT),
    (Fault.SIGSTOP, Operation.DURING_COMMIT),
)
_ANSWERS = (
    Pair(Fault.CODE_91, Operation.GET_MORE),
    Pair(Fault.CODE_16500, Operation.UPDATE),
    Pair(Fault.CUT_AFTER, Operation.COMMIT),
)


@pytest.fixture
def ports(mongo_server: str) -> tuple[int, int]:
    """The server that all tests have is quicker than two of its own."""
    port = parse_uri(mongo_server)["nodelist"][0][1]
    return port, port


def test_a_flow_outlives_a_choice_of_faults(new_arena: NewArena) -> None:
    arena = new_arena(seed=1, size=_SMALL, lease=1.0)
    chance = random.Random(1)
    arena.fill()
    arena.start_worker()
    arena.start_worker()
    arena.wait_until_consistent()
    with arena.changing():
        for fault, operation in _KILLS:
            arena.wait_for_progress()
            held = hold(arena, operation)
            caught(arena, held)
            MEET[fault](arena, held, chance)
        for pair in _ANSWERS:
            arena.wait_for_progress()
            rule, times = inject(arena, pair, chance)
            rule.wait(20, count=times)
        arena.wait_for_progress()
    arena.verdict()
