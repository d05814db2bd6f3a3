"""The supervisor ends what it started, however it ends itself, and says which part failed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.parts import ROOT
from sandbox.ports import PortTakenError, choose_ports, require_free
from tests.waiting import wait_until

Starter = Callable[..., subprocess.Popen[str]]

# A supervisor with three parts: one obedient, one with a child of its own, one deaf to SIGTERM.
PROGRAM = """
import os, sys
from pathlib import Path
from sandbox.parts import Part, PartError
from sandbox.supervisor import AlreadyRunningError, StopRequested, Supervisor

state = Path(sys.argv[1])
def part(name, code, **more):
    note = state / f"{name}.pids"
    code = f"import os, pathlib, signal, subprocess, sys, time; {code}"
    return Part(name, [sys.executable, "-c", code, str(note)], note.exists, "here", os.environ,
                grace=0.5, **more)

note = "pathlib.Path(sys.argv[1]).write_text(f'{os.getpid()} {other}')"
sleep = "time.sleep(300)"
child = "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)']).pid"
deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
try:
    with Supervisor(state) as supervisor:
        supervisor.start(part("obedient", f"other = ''; {note}; {sleep}"))
        supervisor.start(part("parent", f"{child}; {note}; {sleep}", stage=1),
                         part("deaf", f"other = ''; {deaf}; {note}; {sleep}", stage=1))
        if "failing" in sys.argv:
            supervisor.start(part("failing", "sys.exit('no room on the disk')"))
        if "step" in sys.argv:
            code = f"import os, pathlib, sys, time; other = ''; {note}; {sleep}"
            command = [sys.executable, "-c", code, str(state / "step.pids")]
            supervisor.run("step", command, os.environ)
        supervisor.say("watching")
        supervisor.watch()
except StopRequested as stop:
    print("stopped by", stop)
except (PartError, AlreadyRunningError) as error:
    sys.exit(str(error))
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def start(state: Path) -> Iterator[Starter]:
    processes = []

    def starter(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(state), *arguments],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        processes.append(process)
        return process

    yield starter
    for process in processes:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str], words: str) -> None:
    """Read the program's lines up to one with these words."""
    assert process.stdout
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"{words!r} was never said")


def noted_pids(state: Path) -> list[int]:
    return [int(word) for note in state.glob("*.pids") for word in note.read_text().split()]


def alive(pid: int) -> bool:
    """Say whether the process runs; one that waits to be collected does not."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


def all_gone(pids: list[int]) -> bool:
    return not any(alive(pid) for pid in pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(start: Starter, state: Path, number: signal.Signals) -> None:
    process = start()
    said(process, "watching")
    pids = noted_pids(state)
    assert len(pids) == 4
    assert all(map(alive, pids))
    process.send_signal(number)
    process.wait(15)
    wait_until(lambda: all_gone(pids), what="every part, and the part's child, has ended")


def test_a_step_ends_with_its_killed_supervisor(start: Starter, state: Path) -> None:
    process = start("step")
    wait_until((state / "step.pids").exists, what="the step runs")
    wait_until(lambda: len(noted_pids(state)) == 5, what="every process noted its id")
    pids = noted_pids(state)
    process.kill()
    wait_until(lambda: all_gone(pids), what="the step and the parts have ended")


def test_a_killed_part_is_named_and_the_others_end(start: Starter, state: Path) -> None:
    process = start()
    said(process, "watching")
    pids = noted_pids(state)
    os.kill(int((state / "run" / "parent.pid").read_text()), signal.SIGKILL)
    _, errors = process.communicate(timeout=15)
    assert process.returncode == 1
    assert "parent: killed by SIGKILL" in errors
    assert str(state / "logs" / "parent.log") in errors or "It said nothing" in errors
    wait_until(lambda: all_gone(pids), what="the other parts have ended")


def test_a_killed_lifeline_takes_its_part_along(start: Starter, state: Path) -> None:
    process = start()
    said(process, "watching")
    pids = noted_pids(state)
    part = int((state / "run" / "obedient.pid").read_text())
    lifeline = int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(part)], text=True))
    os.kill(lifeline, signal.SIGKILL)
    process.communicate(timeout=15)
    wait_until(lambda: all_gone(pids), what="every part has ended")


def test_a_part_that_cannot_start_says_why(start: Starter, state: Path) -> None:
    process = start("failing")
    _, errors = process.communicate(timeout=15)
    assert process.returncode == 1
    assert "failing: ended with exit status 1" in errors
    assert "no room on the disk" in errors
    wait_until(lambda: all_gone(noted_pids(state)), what="the other parts have ended")


def test_a_second_supervisor_on_the_same_state_is_refused(start: Starter, state: Path) -> None:
    first = start()
    said(first, "watching")
    second = start()
    _, errors = second.communicate(timeout=15)
    assert second.returncode == 1
    assert f"already runs on {state} (process {first.pid})" in errors
    assert first.poll() is None


def test_ports_stay_the_same_while_they_are_free(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    first = choose_ports(["a", "b"], memory=memory)
    assert choose_ports(["a", "b"], memory=memory) == first
    with socket.socket() as other:
        other.bind(("127.0.0.1", first["a"]))
        other.listen()
        second = choose_ports(["a", "b"], memory=memory)
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]


def test_a_busy_web_port_is_named_with_the_remedy() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port} is in use.*PORT={port + 1}"):
            require_free(port)


def test_the_time_to_end_is_bounded(start: Starter, state: Path) -> None:
    process = start()
    said(process, "watching")
    begin = time.monotonic()
    process.terminate()
    process.wait(30)
    assert time.monotonic() - begin < 10  # a liveness ceiling: the deaf part has 0.5 s of grace
