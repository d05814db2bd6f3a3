"""Without transactions, too, workers may be killed or frozen at any moment."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from bson import decode

from replication.guard import unguarded
from replication.streams import raw_collection
from tests.replication.running import Flow, raw
from tests.replication.workload import changing
from tests.waiting import wait_until

Worker = subprocess.Popen[bytes]


@pytest.fixture
def start_worker(flow: Flow, mongo_server: str) -> Iterator[Callable[[], Worker]]:
    workers: list[Worker] = []

    def start() -> Worker:
        module = "tests.replication.guarded_process"
        workers.append(
            subprocess.Popen(
                [sys.executable, "-m", module, str(flow.id), mongo_server],
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


def epoch(flow: Flow) -> int:
    position = flow.position()
    return position.epoch if position else 0


def equal(flow: Flow) -> bool:
    stored = raw_collection(flow.clients["destination"], flow.spec.destination).find()
    copy = list(unguarded(bytes(each.raw) for each in stored))
    return {repr(decode(each)["_id"]).encode(): each for each in copy} == raw(flow.source)


@pytest.mark.slow
def test_a_guarded_copy_is_right_after_kills_and_a_freeze(
    flow: Flow, start_worker: Callable[[], Worker]
) -> None:
    chance = random.Random(5)
    worker = start_worker()
    flow.wait_until_consistent()
    with changing(flow.source, seed=5, pause=0.002) as done:
        for _ in range(2):
            flow.wait_for_events(flow.events() + chance.randrange(1, 150))
            worker.kill()
            worker.wait(timeout=10)
            worker = start_worker()
        flow.wait_for_events(flow.events() + 1)
        before = epoch(flow)
        worker.send_signal(signal.SIGSTOP)
        start_worker()
        wait_until(lambda: epoch(flow) > before, what="a successor takes over")
        flow.wait_for_events(flow.events() + 50)
        worker.send_signal(signal.SIGCONT)
        flow.wait_for_events(flow.events() + 50)
    wait_until(lambda: flow.events() >= done.events, what="every event is applied")
    wait_until(lambda: equal(flow), what="both sides equal")
