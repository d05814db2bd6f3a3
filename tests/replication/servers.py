"""MongoDB servers of a test's own, which it may kill and start again."""

import signal
import subprocess
from pathlib import Path

from sandbox.mongod import answers_ping, secantusd_command
from tests.waiting import wait_until


class Server:
    """One embedded MongoDB as a process. Its data stays over ``kill`` and ``start``."""

    def __init__(self, folder: Path, port: int, *, oplog_entries: int | None = None) -> None:
        self._folder = folder
        self.port = port
        self._oplog_entries = oplog_entries
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    def start(self) -> None:
        command = secantusd_command(port=self.port, storage=self._folder / "data")
        if self._oplog_entries is not None:
            command += ["--oplog-max-entries", str(self._oplog_entries)]
        with (self._folder / "log").open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        wait_until(lambda: answers_ping(self.port), timeout=30, what="the server answers")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, which takes it seconds."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=30)
            self._process = None
