"""Runs one command for as long as its supervisor lives.

``python -m sandbox.lifeline FD GRACE PIDFILE COMMAND...``: ``FD`` is the reading end of a pipe
whose writing end only the supervisor holds. When that closes, for whatever reason (SIGKILL
included), or when this process is told to end, the command gets SIGTERM, and after ``GRACE``
seconds its whole process group gets SIGKILL. The command is the leader of its own group, so that a
Ctrl-C in the terminal reaches the supervisor alone, which then ends the parts in order.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

_STOP = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """On Linux, have the kernel end the command should this very process be killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """Do nothing: the signal's number arrives through the wake-up pipe."""


def _signals() -> int:
    """Return a file descriptor from which the numbers of arriving signals can be read."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    for number in (*_STOP, signal.SIGCHLD):
        signal.signal(number, _ignore)
    signal.set_wakeup_fd(writing)
    return reading


def _wait_for_reason(child: subprocess.Popen[bytes], lifeline: int, wake: int) -> None:
    """Return when the command ended, the supervisor is gone, or a signal asks for the end."""
    while child.poll() is None:
        ready, _, _ = select.select([lifeline, wake], [], [], 1.0)
        if wake in ready and any(number in _STOP for number in os.read(wake, 64)):
            return
        if lifeline in ready and not os.read(lifeline, 1):
            return


def _end(child: subprocess.Popen[bytes], grace: float) -> None:
    """End the command gently, then whatever is left of its group by force."""
    if child.poll() is None:
        child.terminate()
        deadline = time.monotonic() + grace
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Nothing is left; macOS says so with "not permitted".
        return
    finally:
        child.wait()


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status, or 128 and the signal's number as shells do."""
    lifeline, grace, pid_file = int(arguments[0]), float(arguments[1]), Path(arguments[2])
    wake = _signals()
    child = subprocess.Popen(
        arguments[3:],
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
    )
    pid_file.write_text(f"{child.pid}\n")
    try:
        _wait_for_reason(child, lifeline, wake)
    finally:
        _end(child, grace)
        pid_file.unlink(missing_ok=True)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
