"""Celery's part: its supervisor is killed, its broker goes away, its messages come twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replication.faults.arena import MANY_CHUNKS, PATIENCE, RECOVERY, Size
from tests.replication.faults.celery_arena import SUPERVISOR, CeleryArena
from tests.replication.faults.matrix import Fault, Operation, Pair, covers
from tests.replication.faults.rules import Moment, On
from tests.replication.faults.workload import COLLECTIONS, ROWS

_COPIES = 5  # of a message


@pytest.fixture
def arena(
    ports: tuple[int, int],
    empty_database: Path,
    tmp_path: Path,
    pair: Pair,
) -> Iterator[CeleryArena]:
    size = MANY_CHUNKS if pair.operation is Operation.SNAPSHOT else Size()
    with CeleryArena(tmp_path, empty_database, *ports, seed=pair.seed, size=size) as arena:
        arena.fill()
        yield arena


@covers([Fault.SIGKILL], [Operation.SUPERVISOR])
def test_a_supervisor_that_is_killed_holds_nobody_up(pair: Pair, arena: CeleryArena) -> None:
    supervisor = arena.start_celery(SUPERVISOR)
    arena.start_beat()
    owner, spare = arena.start_celery(), arena.start_celery()
    arena.wait_until_consistent()
    spare.kill()  # so that it is known who the owner is
    for chance in arena.rounds():
        with arena.changing():
            arena.wait_for_progress()
            spare = arena.start_celery()
            held = arena.destination.rules.hold(
                On("aggregate", "leases"), moment=chance.choice(tuple(Moment))
            )
            held.wait(PATIENCE)
            supervisor.kill()
            held.drop()
            supervisor = arena.start_celery(SUPERVISOR)
            owner.kill()
            arena.wait_for_progress(RECOVERY)
            owner = spare
    arena.verdict()


@covers([Fault.BROKER_RESTARTED], [Operation.STREAM])
def test_streams_outlive_the_broker(pair: Pair, arena: CeleryArena) -> None:
    arena.start_celery(SUPERVISOR)
    arena.start_beat()
    owner = arena.start_celery()
    arena.wait_until_consistent()
    for chance in arena.rounds():
        with arena.changing():
            arena.wait_for_progress()
            arena.stop_broker()
            if chance.random() < 0.5:
                owner.kill()
                arena.start_broker()
                owner = arena.start_celery()
            else:
                arena.start_broker()
            arena.wait_for_progress()
    arena.verdict()


@covers([Fault.BROKER_RESTARTED], [Operation.SNAPSHOT])
def test_a_snapshot_outlives_the_broker(pair: Pair, arena: CeleryArena) -> None:
    chances = list(arena.rounds())
    held = arena.destination.rules.hold(On("insert", ROWS))
    arena.start_celery(SUPERVISOR)
    arena.start_beat()
    arena.start_celery()
    held.wait(PATIENCE)
    with arena.changing():
        for _chance in chances:
            held.wait(PATIENCE)
            arena.stop_broker()
            arena.start_broker()
            following = arena.destination.rules.hold(On("insert", ROWS))
            held.release()
            held = following
        held.wait(PATIENCE)
        held.release()
        arena.wait_until_consistent()
    arena.verdict()


@covers([Fault.DUPLICATED_MESSAGES], [Operation.SNAPSHOT, Operation.STREAM])
def test_messages_that_come_again_and_again_do_nothing_twice(
    pair: Pair, arena: CeleryArena
) -> None:
    arena.start_celery(SUPERVISOR)
    arena.start_celery()
    arena.start_celery()
    with arena.broker() as app:

        def send() -> None:
            for _ in range(_COPIES):
                for task in ("supervise", "offer_parts"):
                    app.send_task(f"replication.tasks.{task}", queue=SUPERVISOR)
                for name in COLLECTIONS:
                    arguments = arena.slice_of(name)
                    app.send_task("replication.tasks.run_stream_slice", arguments, queue="streams")

        if pair.operation is Operation.STREAM:
            send()
            arena.wait_until_consistent()
            for _chance in arena.rounds():
                with arena.changing():
                    send()
                    arena.wait_for_progress()
        else:
            for _chance in arena.rounds():
                held = arena.destination.rules.hold(On("insert", ROWS))
                send()
                held.wait(PATIENCE)
                send()
                held.release()
            arena.start_beat()
            arena.wait_until_consistent()
            with arena.changing():
                arena.wait_for_progress()
    assert arena.watcher.history(ROWS).generation == 1, "the snapshot was made twice"
    arena.verdict()
