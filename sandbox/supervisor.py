"""Starts the sandbox's parts, watches them, and ends them. Restarts nothing by itself."""

import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import IO

from sandbox.parts import Part, PartError, Running, spawn


class StopRequested(Exception):
    """A signal asks the sandbox to end."""


class AlreadyRunningError(Exception):
    """Another supervisor holds the same state directory."""


def _request_stop(number: int, _frame: FrameType | None) -> None:
    raise StopRequested(signal.Signals(number).name)


@contextlib.contextmanager
def _locked(state: Path) -> Iterator[None]:
    """Hold the state directory for this process alone; the lock goes when the process does."""
    lock = (state / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise AlreadyRunningError(
            f"A sandbox already runs on {state} (process {holder}). Use that one, end it with"
            f" 'kill {holder}', or give this one a directory of its own: make demo STATE=DIR PORT=N"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    try:
        yield
    finally:
        lock.close()


class Supervisor:
    """Runs parts for as long as it is entered. Use as a context manager."""

    def __init__(self, state: Path, out: IO[str] = sys.stdout) -> None:
        self.state, self._out = state, out
        self._running: list[Running] = []
        self._stack = contextlib.ExitStack()
        self._lifeline = -1

    def __enter__(self) -> "Supervisor":
        for folder in ("logs", "run"):
            (self.state / folder).mkdir(parents=True, exist_ok=True)
        self._stack.enter_context(_locked(self.state))
        # Only this process holds the writing end: when it is gone, every lifeline reads the end.
        self._lifeline, writing = os.pipe()
        self._stack.callback(os.close, writing)
        self._stack.callback(os.close, self._lifeline)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _request_stop)
        return self

    def __exit__(self, *_: object) -> None:
        # From here on a second Ctrl-C must not leave anything behind.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self._end_parts()
        self._stack.close()

    def say(self, text: str = "") -> None:
        """Print a line to people."""
        print(text, file=self._out, flush=True)

    def start(self, *parts: Part) -> None:
        """Start parts side by side and wait for all; raise ``PartError`` when one does not."""
        started = []
        for part in parts:
            running = Running(
                part,
                lifeline=self._lifeline,
                logs=self.state / "logs",
                pids=self.state / "run",
            )
            self._running.append(running)
            started.append(running)
        for running in started:
            seconds = running.wait_ready()
            part = running.part
            self.say(f"  {part.name:<18} ready in {seconds:4.1f} s   {part.where}")

    def run(self, title: str, command: list[str], environment: Mapping[str, str]) -> None:
        """Run a step to its end, watching the parts; its output goes to the terminal."""
        self.say(f"  {title}")
        process = spawn(
            command,
            environment=environment,
            lifeline=self._lifeline,
            pid_file=self.state / "run" / "step.pid",
            grace=5.0,
        )
        try:
            while process.poll() is None:
                self.check()
                time.sleep(0.05)
        finally:
            process.terminate()  # nothing happens where it has ended
            process.wait()
        if process.returncode:
            raise PartError(
                f"{title}: failed with exit status {process.returncode}; what it said is above."
            )

    def check(self) -> None:
        """Raise ``PartError`` when a part has ended by itself."""
        for running in self._running:
            running.check()

    def watch(self) -> None:
        """Return never: raise ``PartError`` when a part ends, ``StopRequested`` on a signal."""
        while True:
            self.check()
            time.sleep(0.2)

    def pids(self) -> dict[str, int | None]:
        """The process id of each part."""
        return {running.part.name: running.pid for running in self._running}

    def _end_parts(self) -> None:
        """End in the order that loses least: who uses a part ends before it."""
        while self._running:
            last = self._running[-1].part.stage
            group = [running for running in self._running if running.part.stage == last]
            for running in group:
                running.terminate()
            for running in group:
                running.join()
            self._running = [running for running in self._running if running not in group]
