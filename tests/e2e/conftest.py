"""The whole sandbox, as ``make demo`` runs it, with the official sample."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from sandbox.entra.client import pick_person
from sandbox.parts import ROOT
from tests.waiting import wait_until


@dataclass(frozen=True)
class Demo:
    """A running sandbox."""

    state: Path
    url: str
    process: subprocess.Popen[str]

    @property
    def environment(self) -> dict[str, str]:
        """What other commands need to reach it."""
        lines = (self.state / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def pids(self) -> dict[str, int]:
        """The process id of each part."""
        pids: dict[str, int] = json.loads((self.state / "processes.json").read_text())
        return pids

    def sign_in(self, person: str) -> requests.Session:
        """Return a session of somebody who has walked through the whole sign-in."""
        session = requests.Session()
        session.trust_env = False
        start = session.get(f"{self.url}/oidc/authenticate/", allow_redirects=False, timeout=20)
        callback = pick_person(session, start.headers["Location"], person)
        session.get(callback, timeout=20).raise_for_status()
        return session


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_demo(state: Path, *options: str, timeout: float = 110) -> Demo:
    """Start ``manage.py sandbox`` and wait (seconds) until it says where to open it."""
    port = free_port()
    log = (state.parent / f"{state.name}-{port}.out").open("w+")
    process = subprocess.Popen(
        [
            *(sys.executable, str(ROOT / "manage.py"), "sandbox"),
            *("--state", str(state), "--port", str(port), *options),
        ],
        cwd=ROOT,
        env={**os.environ, "FINOPS_ENV": "development", "SANDBOX": "true"},
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def said() -> str:
        log.seek(0)
        return log.read()

    try:
        wait_until(
            lambda: "sign in as one of" in said() or process.poll() is not None,
            timeout=timeout,
            what="the sandbox says where to open it",
        )
        text = said()
    except BaseException:
        process.terminate()
        process.wait(60)
        raise
    finally:
        log.close()
    assert process.poll() is None, text
    return Demo(state, f"http://localhost:{port}", process)


def stop_demo(demo: Demo, number: signal.Signals = signal.SIGTERM) -> None:
    """End the supervisor by a signal, and wait for it."""
    if demo.process.poll() is None:
        demo.process.send_signal(number)
    demo.process.wait(60)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One sandbox with the official sample, for all tests of this folder."""
    running = start_demo(tmp_path_factory.mktemp("demo") / "state", "--data", "sample")
    yield running
    stop_demo(running)
