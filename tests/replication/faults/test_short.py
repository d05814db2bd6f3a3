"""The short selection of the matrix that every run of the tests has: one flow, six faults."""

import random

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
    Pair(Fault.CODE_112, Operation.COMMIT),
    Pair(Fault.CUT_AFTER, Operation.COMMIT),
)


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
