"""Workers that are killed or frozen at any moment lose nothing and double nothing."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.replication.running import Flow, raw
from tests.replication.workload import changing
from tests.waiting import wait_until

LEASE = "1"
Worker = subprocess.Popen[bytes]


@pytest.fixture
def start_worker(flow: Flow, mongo_server: str) -> Iterator[Callable[..., Worker]]:
    """Start a worker for the flow, or for one part of its snapshot."""
    workers: list[Worker] = []

    def start(*part: str) -> Worker:
        workers.append(
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.replication.slice_process"),
                    *(str(flow.id), mongo_server, mongo_server, LEASE, *part),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        return workers[-1]

    yield start
    for worker in workers:
        worker.send_signal(signal.SIGCONT)
        worker.kill()
        worker.wait(timeout=10)


def kill(worker: Worker) -> None:
    worker.kill()
    worker.wait(timeout=10)


def wait_for_copied(flow: Flow, count: int) -> None:
    wait_until(lambda: flow.copied() >= count, timeout=60, what=f"{count} documents are copied")


def wait_for_epoch(flow: Flow, number: int) -> None:
    wait_until(lambda: epoch(flow) >= number, what="a successor takes over")


def epoch(flow: Flow) -> int:
    position = flow.position()
    return position.epoch if position else 0


def test_a_snapshot_goes_on_where_the_killed_worker_was(
    flow: Flow, start_worker: Callable[[], Worker]
) -> None:
    flow.source.insert_many([{"_id": n, "Day": n % 7, "pad": "x" * 500} for n in range(12_000)])
    worker = start_worker()
    for number in (1, 2):
        # One that is killed before it owns the stream would prove nothing.
        wait_for_epoch(flow, number)
        wait_for_copied(flow, flow.copied() + 1)
        kill(worker)
        worker = start_worker()
    flow.wait_until_consistent()
    assert flow.copied() == 12_000
    assert raw(flow.copy) == raw(flow.source)
    assert epoch(flow) == 3


def test_a_part_goes_on_where_the_killed_helper_was(
    flow: Flow, start_worker: Callable[..., Worker]
) -> None:
    flow.source.insert_many([{"_id": n, "Day": n % 7} for n in range(16_000)])
    flow.run(lambda: not flow.parts())
    (part,) = flow.parts()
    helper = start_worker(part.key)
    wait_for_copied(flow, 1)
    kill(helper)
    (left,) = flow.parts()
    assert 0 < left.copied < 16_000
    start_worker(part.key)
    wait_for_copied(flow, 16_000)
    (done,) = flow.parts()
    assert (done.epoch, done.copied) == (2, 16_000)
    assert raw(flow.copy) == raw(flow.source)


def test_a_stream_goes_on_where_the_killed_worker_was(
    flow: Flow, start_worker: Callable[[], Worker]
) -> None:
    chance = random.Random(7)
    worker = start_worker()
    flow.wait_until_consistent()
    with changing(flow.source, seed=7, pause=0.002) as done:
        for _ in range(3):
            flow.wait_for_events(flow.events() + chance.randrange(1, 150))
            kill(worker)
            worker = start_worker()
    wait_until(lambda: flow.events() == done.events, what="every event is applied once")
    assert raw(flow.copy) == raw(flow.source)
    assert epoch(flow) == 4


def test_a_frozen_worker_that_wakes_up_commits_nothing(
    flow: Flow, start_worker: Callable[[], Worker]
) -> None:
    worker = start_worker()
    flow.wait_until_consistent()
    with changing(flow.source, seed=11, pause=0.002) as done:
        for _ in range(3):
            flow.wait_for_events(flow.events() + 1)
            worker.send_signal(signal.SIGSTOP)
            owner, frozen = epoch(flow), worker
            worker = start_worker()
            wait_for_epoch(flow, owner + 1)
            frozen.send_signal(signal.SIGCONT)
            flow.wait_for_events(flow.events() + 1)
            kill(frozen)
    wait_until(lambda: flow.events() == done.events, what="every event is applied once")
    assert raw(flow.copy) == raw(flow.source)
