"""Servers that restart, histories that are forgotten, collections that somebody takes away."""

import random
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.conftest import free_port
from tests.replication.faults.arena import MANY_CHUNKS, PATIENCE, Arena
from tests.replication.faults.conftest import NewArena
from tests.replication.faults.matrix import Fault, Operation, Pair, covers
from tests.replication.faults.rules import Failure, Holds, On
from tests.replication.faults.workload import COLLECTIONS, ROWS
from tests.replication.servers import Server
from tests.waiting import wait_until

_RESTARTS = (Fault.SOURCE_RESTARTED, Fault.DESTINATION_RESTARTED)
_LOSSES = (Fault.HISTORY_TRIMMED, Fault.DROPPED, Fault.RENAMED)
_CURSOR_NOT_FOUND = 43
_ENTRIES = 5_000  # that the source remembers
_NOISE = 20_000  # changes of something else, which push all others out


@pytest.fixture(scope="module")
def source_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A source with a short memory."""
    server = Server(tmp_path_factory.mktemp("source"), free_port(), oplog_entries=_ENTRIES)
    yield server
    server.kill()


@pytest.fixture
def restart(
    source_server: Server, destination_server: Server
) -> Callable[[Fault, random.Random], None]:
    def one(fault: Fault, chance: random.Random) -> None:
        server = source_server if fault is Fault.SOURCE_RESTARTED else destination_server
        server.kill() if chance.random() < 0.5 else server.stop()
        server.start()

    return one


@covers(_RESTARTS, [Operation.STREAM])
def test_a_stream_outlives_a_restart(
    pair: Pair, new_arena: NewArena, restart: Callable[[Fault, random.Random], None]
) -> None:
    arena = new_arena(seed=pair.seed)
    arena.fill()
    expect_repeated_changes(arena)
    arena.start_worker()
    arena.wait_until_consistent()
    arena.start_worker()
    for chance in arena.rounds():
        with arena.changing():
            arena.wait_for_progress()
            restart(pair.fault, chance)
            arena.wait_for_progress()
    arena.verdict()


@covers(_RESTARTS, [Operation.SNAPSHOT])
def test_a_snapshot_outlives_a_restart(
    pair: Pair, new_arena: NewArena, restart: Callable[[Fault, random.Random], None]
) -> None:
    arena = new_arena(seed=pair.seed, size=MANY_CHUNKS)
    arena.fill()
    expect_repeated_changes(arena)
    arena.start_worker()
    arena.start_worker()
    held = hold_part(arena)
    for chance in arena.rounds():
        held.wait(PATIENCE)
        restart(pair.fault, chance)
        following = hold_part(arena)  # or the snapshot might end before the last round
        held.release()
        held = following
    held.release()
    arena.wait_until_consistent()
    with arena.changing():
        arena.wait_for_progress()
    assert arena.watcher.history(ROWS).generation == 1, "the snapshot started over"
    arena.verdict()


@covers(_LOSSES, [Operation.STREAM])
def test_a_lost_history_is_answered_by_a_snapshot(pair: Pair, new_arena: NewArena) -> None:
    arena = new_arena(seed=pair.seed)
    arena.fill()
    expect_another_snapshot(arena)
    arena.start_worker()
    arena.wait_until_consistent()
    for number, chance in enumerate(arena.rounds(), start=1):
        with arena.changing():
            arena.wait_for_progress()
        LOSE[pair.fault](arena, chance)
        with arena.changing():
            wait_for_generation(arena, number + 1)
            arena.wait_until_consistent()
            arena.wait_for_progress()
    arena.verdict()


@covers(_LOSSES, [Operation.SNAPSHOT])
def test_a_history_that_is_lost_during_a_snapshot_is_answered_by_another(
    pair: Pair, new_arena: NewArena
) -> None:
    arena = new_arena(seed=pair.seed)
    arena.fill()
    expect_another_snapshot(arena)
    held = hold_part(arena)
    arena.start_worker()
    for number, chance in enumerate(arena.rounds(), start=1):
        held.wait(PATIENCE)
        LOSE_BESIDEMANY_CHUNKS[pair.fault](arena, chance)
        held.release()
        arena.workload.step()
        wait_for_generation(arena, number + 1)
        # A copy that is there is compared, and only what differs is written.
        held = hold_part(arena, "find")
    held.release()
    arena.wait_until_consistent()
    with arena.changing():
        arena.wait_for_progress()
    arena.verdict()


def expect_repeated_changes(arena: Arena) -> None:
    arena.workload.patient = True
    arena.exact = False


def expect_another_snapshot(arena: Arena) -> None:
    arena.exact = False  # what a snapshot brings is no event
    arena.poison = False  # it goes with its collection


def hold_part(arena: Arena, command: str = "insert") -> Holds:
    return arena.destination.rules.hold(On(command, ROWS))


def wait_for_generation(arena: Arena, number: int) -> None:
    def begun() -> bool:
        arena.must_be_well()
        return int(arena.position(ROWS).get("generation", 0)) >= number

    wait_until(begun, timeout=60, what=f"snapshot {number} begins")


def trim(arena: Arena, chance: random.Random) -> None:
    """Let the source forget while the worker is away: asleep, or dead."""
    worker = arena.only_worker()
    asleep = chance.random() < 0.5
    worker.freeze() if asleep else worker.kill()
    forget(arena, chance)
    if asleep:
        # A server ends cursors that were not used for long. SecantusDB's live ones skip what was
        # forgotten without a word, where a mongod's tell it (136).
        for name in COLLECTIONS:
            arena.source.rules.fail(On("getMore", name), Failure(_CURSOR_NOT_FOUND))
        worker.thaw()
    else:
        arena.start_worker()


def forget(arena: Arena, _chance: random.Random) -> None:
    """Push everything up to now out of the source's history."""
    arena.workload.step()
    noise = arena.original("noise")
    for _ in range(_NOISE // 1000):
        noise.insert_many([{} for _ in range(1000)])


def drop(arena: Arena, _chance: random.Random) -> None:
    arena.original(ROWS).drop()
    refill(arena)


def rename(arena: Arena, chance: random.Random) -> None:
    """Rename the collection away, or another one over it."""
    if chance.random() < 0.5:
        arena.original(ROWS).rename("before", dropTarget=True)
    else:
        arena.original("other").insert_one({"_id": "other", "seq": 1})
        arena.original("other").rename(ROWS, dropTarget=True)
    refill(arena)


def refill(arena: Arena) -> None:
    arena.workload.forget_rows()
    arena.workload.refill_rows(arena.size.keys // 2)


Lose = Callable[[Arena, random.Random], None]
LOSE: Mapping[Fault, Lose] = {
    Fault.HISTORY_TRIMMED: trim,
    Fault.DROPPED: drop,
    Fault.RENAMED: rename,
}
LOSE_BESIDEMANY_CHUNKS: Mapping[Fault, Lose] = {**LOSE, Fault.HISTORY_TRIMMED: forget}
