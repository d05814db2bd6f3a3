"""Servers that answer with an error, or not at all, to each kind of command that a flow sends."""

import random

from tests.replication.faults.arena import PATIENCE, Arena
from tests.replication.faults.conftest import NewArena
from tests.replication.faults.matrix import ANSWERS, Fault, Operation, Pair, covers
from tests.replication.faults.rules import Failure, Moment, On, Rule, Rules
from tests.replication.faults.workload import ROWS

_OF_THE_STREAM = (*(Operation.GET_MORE, Operation.AGGREGATE, Operation.UPDATE, Operation.COMMIT),)
_RESUMABLE = frozenset({Fault.CODE_91, Fault.CODE_189, Fault.CODE_11600})
_READS = frozenset({Operation.GET_MORE, Operation.AGGREGATE, Operation.SNAPSHOT_READ})


def command(arena: Arena, operation: Operation) -> tuple[Rules, On]:
    """Where an operation of the rows' stream can be met."""
    return {
        Operation.GET_MORE: (arena.source.rules, On("getMore", ROWS)),
        Operation.AGGREGATE: (arena.source.rules, On("aggregate", ROWS)),
        Operation.UPDATE: (arena.destination.rules, On("update", ROWS)),
        Operation.COMMIT: (arena.destination.rules, On("commitTransaction", ROWS)),
        Operation.SNAPSHOT_READ: (arena.source.rules, On("find", ROWS)),
        Operation.SNAPSHOT_WRITE: (arena.destination.rules, On("insert", ROWS)),
    }[operation]


def labels(fault: Fault, operation: Operation) -> tuple[str, ...]:
    """What a mongod adds to such an answer. Others, Azure's among them, add nothing."""
    if operation in (Operation.GET_MORE, Operation.AGGREGATE):
        return ("ResumableChangeStreamError",) if fault in _RESUMABLE else ()
    if operation is Operation.COMMIT and fault in _RESUMABLE:
        return ("RetryableWriteError",)
    if operation not in _READS and (fault in _RESUMABLE or fault is Fault.CODE_112):
        return ("TransientTransactionError",)
    return ()


def inject(arena: Arena, pair: Pair, chance: random.Random) -> tuple[Rule, int]:
    """Let the next commands of the pair's kind fail; return the rule, and how many it is for."""
    rules, on = command(arena, pair.operation)
    # A right that is missing twice in a row is missing, and nothing that passes by itself.
    times = 1 if pair.fault is Fault.CODE_13 else chance.randrange(1, 4)
    if pair.fault in (Fault.CUT_BEFORE, Fault.CUT_AFTER):
        moment = Moment.REQUEST if pair.fault is Fault.CUT_BEFORE else Moment.ANSWER
        return rules.cut(on, moment=moment, times=times), times
    in_transaction = pair.operation not in _READS
    failure = Failure(
        pair.fault.code,
        labels(pair.fault, pair.operation) if chance.random() < 0.5 else (),
        # Cosmos DB throttles single writes of a statement.
        of_a_write=pair.fault is Fault.CODE_16500
        and pair.operation in (Operation.UPDATE, Operation.SNAPSHOT_WRITE)
        and chance.random() < 0.5,
        text=f"Request rate is large. RetryAfterMs=40, Details='{arena.canary}'",
    )
    # What the server has done although it answers so is undone with the transaction, or met again.
    moment = chance.choice((Moment.REQUEST, Moment.ANSWER)) if in_transaction else Moment.REQUEST
    return rules.fail(on, failure, moment=moment, times=times), times


@covers(ANSWERS, _OF_THE_STREAM)
def test_a_stream_outlives_what_a_server_answers(pair: Pair, new_arena: NewArena) -> None:
    arena = new_arena(seed=pair.seed)
    arena.fill()
    worker = arena.start_worker()
    arena.wait_until_consistent()
    for chance in arena.rounds():
        with arena.changing():
            arena.wait_for_progress()
            rule, times = inject(arena, pair, chance)
            if pair.operation is Operation.AGGREGATE:
                # A stream is opened once, unless it breaks.
                arena.source.rules.cut(On("getMore", ROWS))
            rule.wait(PATIENCE, count=times)
            arena.wait_for_progress()
        if pair.fault is Fault.CODE_13:
            # Sign-ins are not lost every few seconds: that is how a missing right looks.
            worker.ask_to_stop()
            worker.exit_code()
            worker = arena.start_worker()
    arena.verdict()


@covers(ANSWERS, [Operation.SNAPSHOT_READ, Operation.SNAPSHOT_WRITE])
def test_a_snapshot_outlives_what_a_server_answers(pair: Pair, new_arena: NewArena) -> None:
    arena = new_arena(seed=pair.seed)
    arena.fill()
    for chance in arena.rounds():
        rule, times = inject(arena, pair, chance)
        held = arena.destination.rules.hold(On("commitTransaction", ROWS))
        worker = arena.start_worker()
        rule.wait(PATIENCE, count=times)
        held.wait(PATIENCE)  # the part is being copied in spite of it
        worker.kill()
        held.drop()
    arena.start_worker()
    arena.wait_until_consistent()
    with arena.changing():
        arena.wait_for_progress()
    arena.verdict()
