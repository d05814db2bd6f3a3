"""The real sandbox: a second start keeps what the first had, and no end leaves a process."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Demo, start_demo, stop_demo
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(240)


def children(pid: int) -> set[int]:
    """Every process below this one."""
    table = subprocess.check_output(["ps", "-eo", "pid=,ppid="], text=True).split()
    parents = dict(zip(map(int, table[::2]), map(int, table[1::2]), strict=True))
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def running(pids: set[int]) -> set[int]:
    """Those that still run; one that waits to be collected does not."""
    table = subprocess.check_output(["ps", "-eo", "pid=,stat="], text=True).split()
    return pids & {
        int(pid)
        for pid, state in zip(table[::2], table[1::2], strict=True)
        if not state.startswith("Z")
    }


def assert_nothing_is_left(below: set[int]) -> None:
    assert len(below) > 15  # the parts, their lifelines, and the pools below them
    wait_until(lambda: not running(below), timeout=30, what="every process has ended")


def test_a_second_start_keeps_the_data_and_is_quick(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = start_demo(state, "--data", "sample")
    below = children(first.process.pid)
    stop_demo(first, signal.SIGKILL)
    assert_nothing_is_left(below)

    begin = time.monotonic()
    second = start_demo(state, "--data", "sample")
    assert time.monotonic() - begin < 60  # a liveness ceiling, far above the usual seconds
    with second.sign_in("cleo") as session:
        assert "20.52022672899" in session.get(second.url, timeout=10).text
    below = children(second.process.pid)
    stop_demo(second, signal.SIGINT)
    assert_nothing_is_left(below)


def test_a_killed_part_is_named_with_what_to_do(tmp_path: Path) -> None:
    demo: Demo = start_demo(tmp_path / "state", "--data", "none")
    below = children(demo.process.pid)
    os.kill(demo.pids()["source-gate"], signal.SIGKILL)
    assert demo.process.wait(60) == 1
    said = next(tmp_path.glob("state-*.out")).read_text()
    assert "source-gate: killed by SIGKILL" in said
    assert "make demo RESET=1" in said
    assert_nothing_is_left(below)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_default_demo_becomes_ready_with_every_row(tmp_path: Path) -> None:
    # Of several parts, which two workers copy while others wait for the first days.
    demo = start_demo(tmp_path / "state", timeout=400)
    stop_demo(demo)
