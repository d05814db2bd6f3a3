"""Workers that are killed, frozen or told to stop while a certain command is on its way."""

import random
import time
from collections.abc import Callable, Mapping

from tests.replication.faults.arena import MANY_CHUNKS, PATIENCE, RECOVERY, Arena
from tests.replication.faults.conftest import NewArena
from tests.replication.faults.matrix import Fault, Operation, Pair, covers
from tests.replication.faults.rules import Holds, Moment, On
from tests.replication.faults.workers import Process
from tests.replication.faults.workload import ROWS

_MOMENTS = (Operation.AFTER_READ, Operation.BEFORE_COMMIT, Operation.DURING_COMMIT)


def hold(arena: Arena, operation: Operation) -> Holds:
    """Keep the next command of the rows' stream that belongs to a moment."""
    on, moment = {
        Operation.AFTER_READ: (On("update", ROWS), Moment.REQUEST),
        Operation.BEFORE_COMMIT: (On("commitTransaction", ROWS), Moment.REQUEST),
        Operation.DURING_COMMIT: (On("commitTransaction", ROWS), Moment.ANSWER),
    }[operation]
    return arena.destination.rules.hold(on, moment=moment)


def hold_part(arena: Arena, chance: random.Random, *, not_of: str = "") -> Holds:
    """Keep some command of the snapshot of the rows, of any worker but one."""
    command = chance.choice(("insert", "commitTransaction"))
    moment = chance.choice(tuple(Moment))
    return arena.destination.rules.hold(On(command, ROWS, not_worker=not_of), moment=moment)


def caught(arena: Arena, held: Holds) -> Process:
    return arena.worker(held.wait(PATIENCE).worker)


def kill(arena: Arena, held: Holds, chance: random.Random) -> None:
    """Kill whose command is held until another has its stream.

    What the dead one had sent is lost, or arrives late, after its successor has begun.
    """
    victim, epoch = caught(arena, held), arena.epoch()
    victim.kill()
    arena.start_worker()
    if chance.random() < 0.5:
        held.drop()
    arena.wait_for_epoch_after(epoch, RECOVERY)
    held.release()


def freeze(arena: Arena, held: Holds, chance: random.Random) -> None:
    """Freeze whose command is held until another has its stream.

    The command arrives before or after its sender is awake again.
    """
    frozen, epoch = caught(arena, held), arena.epoch()
    frozen.freeze()
    arena.wait_for_epoch_after(epoch)
    steps = [held.release, frozen.thaw]
    chance.shuffle(steps)
    for step in steps:
        step()


def stop(arena: Arena, held: Holds, _chance: random.Random) -> None:
    """Tell whose command is held to stop, and let the command go on."""
    stopped, epoch = caught(arena, held), arena.epoch()
    stopped.ask_to_stop()
    held.release()
    assert stopped.exit_code() == 0
    arena.start_worker()
    arena.wait_for_epoch_after(epoch)


MEET: Mapping[Fault, Callable[[Arena, Holds, random.Random], None]] = {
    Fault.SIGKILL: kill,
    Fault.SIGSTOP: freeze,
    Fault.SIGTERM: stop,
}


@covers(tuple(MEET), _MOMENTS)
def test_a_stream_goes_on_where_its_worker_was(pair: Pair, new_arena: NewArena) -> None:
    arena = new_arena(seed=pair.seed)
    arena.fill()
    arena.start_worker()
    arena.wait_until_consistent()
    arena.start_worker()
    for chance in arena.rounds():
        with arena.changing():
            arena.wait_for_progress()
            held = hold(arena, pair.operation)
            caught(arena, held)
            began = time.monotonic()
            MEET[pair.fault](arena, held, chance)
            spent = time.monotonic() - began
            arena.wait_for_progress(RECOVERY - spent if pair.fault is Fault.SIGKILL else PATIENCE)
    arena.verdict()


@covers(tuple(MEET), [Operation.SNAPSHOT_PART])
def test_a_snapshot_goes_on_where_its_worker_was(pair: Pair, new_arena: NewArena) -> None:
    arena = new_arena(seed=pair.seed, size=MANY_CHUNKS)
    arena.fill()
    chances = list(arena.rounds())
    held = hold_part(arena, chances[0])
    arena.start_worker()
    arena.start_worker()
    caught(arena, held)  # what is changed from now on are events of the flow
    with arena.changing():
        for chance in chances:
            victim = caught(arena, held)
            # Held from now on, or the snapshot might end before the last round.
            following = hold_part(arena, chance, not_of=victim.name)
            MEET[pair.fault](arena, held, chance)
            held = following
        caught(arena, held)
        held.release()
        arena.wait_until_consistent()
    assert arena.watcher.history(ROWS).generation == 1, "the snapshot started over"
    arena.verdict()
