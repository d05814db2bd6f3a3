"""Celery workers with a broker and a database of their own, for flows that a test declares."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from celery import Celery

from tests.waiting import wait_until

Process = subprocess.Popen[bytes]


class Fleet:
    """Workers of one slot each, and a supervisor that looks when the test says so."""

    def __init__(self, folder: Path, broker: str, declaration: str, **settings: str) -> None:
        self._folder = folder
        self._broker = broker
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "finops.settings",
            "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
            "REDIS_URL": broker,
            "LOG_LEVEL": "INFO",
            "REPLICATION_SUPERVISOR_PERIOD": "1",
            **settings,
        }
        self.workers: list[Process] = []
        flows = folder / "flows.yaml"
        flows.write_text(declaration)
        subprocess.run(
            [sys.executable, "-m", "tests.replication.declared", str(flows)],
            env=self._environment,
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
        )

    def start(self) -> Process:
        """Start a worker; it need not be ready yet."""
        number = len(self.workers)
        with self._log(number).open("wb") as output:
            worker = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "-A", "finops", "worker", "-c", "1"),
                    *("--loglevel", "INFO", "-Q", "supervisor,streams", "-n", f"{number}@test"),
                    *("--without-mingle", "--without-gossip"),
                ],
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def wait_until(self, predicate: Callable[[], Any], *, timeout: float, what: str) -> None:
        """Wait, and let the supervisor look once a second meanwhile, as beat does."""
        due = 0.0
        with Celery(broker=self._broker) as app:

            def look() -> Any:
                nonlocal due
                if time.monotonic() >= due:
                    due = time.monotonic() + 1.0
                    app.send_task("replication.tasks.supervise", queue="supervisor", expires=1)
                return predicate()

            wait_until(look, timeout=timeout, what=what)

    def slices(self, number: int) -> list[str]:
        """The collections that a worker has begun to work on, each as often as it began."""
        lines = self._log(number).read_text(errors="replace").splitlines()
        events: Iterator[Mapping[str, Any]] = (
            json.loads(line) for line in lines if line.startswith("{")
        )
        return [each["collection"] for each in events if each.get("event") == "slice_began"]

    def kill(self, worker: Process) -> None:
        """End a worker and its children without a warning."""
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(timeout=10)

    def end(self) -> None:
        """End everything."""
        for worker in self.workers:
            self.kill(worker)

    def _log(self, number: int) -> Path:
        return self._folder / f"worker-{number}.log"
