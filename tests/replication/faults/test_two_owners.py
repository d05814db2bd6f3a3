"""Two slices by hand: a lease is taken from its owner, who goes on as if it had it."""

from datetime import UTC, datetime

from tests.replication.faults.arena import MANY_CHUNKS, PATIENCE, Arena
from tests.replication.faults.conftest import NewArena
from tests.replication.faults.matrix import Fault, Operation, Pair, covers
from tests.replication.faults.rules import Holds, On
from tests.replication.faults.workload import ROWS
from tests.waiting import wait_until

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def begin_another(arena: Arena, *, remove: bool) -> None:
    """Let another slice of the rows begin: forget the lease, or that it is held.

    Its owner renews it now and then, and may be the quicker one.
    """
    leases = arena.clients[1]["replication"]["leases"]
    chosen, before = {"_id": arena.position(ROWS)["_id"]}, arena.epoch()

    def begun() -> bool:
        if remove:
            leases.delete_one(chosen)
        else:
            leases.update_one(chosen, {"$set": {"expires": _LONG_AGO}})
        arena.must_be_well()
        return arena.epoch() > before

    wait_until(begun, timeout=PATIENCE, what="another slice begins")


def hold_part(arena: Arena) -> Holds:
    return arena.destination.rules.hold(On("insert", ROWS))


@covers([Fault.TWO_SLICES], [Operation.STREAM])
def test_of_two_slices_of_a_stream_one_writes(pair: Pair, new_arena: NewArena) -> None:
    # So long that its owner renews it late: until then there are two.
    arena = new_arena(seed=pair.seed, lease=8.0)
    arena.fill()
    for _ in range(2):
        arena.start_worker()
    arena.wait_until_consistent()
    for chance in arena.rounds():
        with arena.changing():
            arena.wait_for_progress()
            held = arena.destination.rules.hold(On("commitTransaction", ROWS))
            held.wait(PATIENCE)
            begin_another(arena, remove=chance.random() < 0.5)
            held.release()
            arena.wait_for_progress()
    arena.verdict()


@covers([Fault.TWO_SLICES], [Operation.SNAPSHOT])
def test_of_two_slices_of_a_snapshot_one_goes_on(pair: Pair, new_arena: NewArena) -> None:
    arena = new_arena(seed=pair.seed, size=MANY_CHUNKS, lease=8.0)
    arena.fill()
    for _ in range(2):
        arena.start_worker()
    held = hold_part(arena)
    for chance in arena.rounds():
        held.wait(PATIENCE)
        following = hold_part(arena)  # or the snapshot might end before the last round
        begin_another(arena, remove=chance.random() < 0.5)
        held.release()
        held = following
    held.release()
    arena.wait_until_consistent()
    with arena.changing():
        arena.wait_for_progress()
    assert arena.watcher.history(ROWS).generation == 1, "the snapshot started over"
    arena.verdict()
