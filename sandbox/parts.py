"""One part of the sandbox: a process, its log, and how to see that it is ready."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent


class PartError(Exception):
    """A part did not start, or ended by itself. The message says which, why, and what to do."""


@dataclass(frozen=True)
class Part:
    """What to run. ``ready`` is asked until it is true, at most ``patience`` seconds."""

    name: str
    command: list[str]
    ready: Callable[[], bool]
    where: str  # shown to people: an address, or what it works on
    environment: Mapping[str, str] = field(default_factory=dict)
    stage: int = 0  # parts of a stage need those of the stages below; ended from the top
    patience: float = 60.0
    grace: float = 5.0  # seconds between SIGTERM and SIGKILL


def listens(port: int) -> Callable[[], bool]:
    """Return a check that something accepts connections on this loopback port."""

    def check() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return check


def spawn(
    command: list[str],
    *,
    environment: Mapping[str, str],
    lifeline: int,
    pid_file: Path,
    grace: float,
    output: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command under a lifeline (see ``sandbox.lifeline``), in a session of its own."""
    wrapper = [sys.executable, "-m", "sandbox.lifeline", str(lifeline), str(grace), str(pid_file)]
    return subprocess.Popen(
        [*wrapper, *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        cwd=ROOT,
        pass_fds=[lifeline],
        start_new_session=True,
    )


class Running:
    """A part that was started, under a lifeline."""

    def __init__(self, part: Part, *, lifeline: int, logs: Path, pids: Path) -> None:
        self.part = part
        self.log = logs / f"{part.name}.log"
        self._pid_file = pids / f"{part.name}.pid"
        self._pid_file.unlink(missing_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("wb") as log:
            self._process = spawn(
                part.command,
                environment=part.environment,
                lifeline=lifeline,
                pid_file=self._pid_file,
                grace=part.grace,
                output=log,
            )

    @property
    def pid(self) -> int | None:
        """The process id of the command itself, not of its lifeline. None once it ended."""
        try:
            return int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def wait_ready(self) -> float:
        """Return the seconds that it took; raise ``PartError`` when it ended or took too long."""
        start = time.monotonic()
        while not self.part.ready():
            self.check()
            if time.monotonic() - start > self.part.patience:
                raise PartError(
                    f"{self.part.name}: not ready within {self.part.patience:g} s"
                    f" ({self.part.where}).{self.last_words()}"
                )
            time.sleep(0.05)
        # Another program might answer on the port while our own process has just given up.
        self.check()
        return time.monotonic() - start

    def check(self) -> None:
        """Raise ``PartError`` when the process has ended."""
        status = self._process.poll()
        if status is not None:
            raise PartError(f"{self.part.name}: {_cause(status)}.{self.last_words()}")

    def last_words(self, lines: int = 12) -> str:
        """The end of the log, for a message to people."""
        tail = self.log.read_text(errors="replace").strip().splitlines()[-lines:]
        said = "".join(f"\n    {line[:300]}" for line in tail) or " It said nothing."
        return f" Its log is {self.log}; it ends:{said}" if tail else said

    def terminate(self) -> None:
        """Ask the part to end; ``join`` waits for it."""
        if self._process.poll() is None:
            self._process.terminate()

    def join(self) -> None:
        """Wait until the part, and everything that it started, has ended."""
        try:
            self._process.wait(self.part.grace + 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        pid = self.pid
        if pid is not None:  # its lifeline was killed before it could clean up
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                return


def _cause(status: int) -> str:
    """Say in words how a process ended."""
    number = -status if status < 0 else status - 128
    if number > 0:
        try:
            return f"killed by {signal.Signals(number).name}"
        except ValueError:
            return f"ended with exit status {status}"
    return f"ended with exit status {status}"
