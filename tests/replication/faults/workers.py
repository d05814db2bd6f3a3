"""Workers as an operator starts them, ``manage.py replicate``, each behind proxies of its own."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.replication.faults.proxy import Proxy, Wire
from tests.replication.faults.rules import Rules
from tests.replication.faults.workload import COLLECTIONS, ROWS

_ROOT = Path(__file__).parents[3]
_PATIENCE = 15  # seconds for a process to end
_UNWELL = (b'"outcome": "failed"', b'"flow_ended"', b"Traceback")
# It tells of a broker that is away with a traceback.
_LIBRARY = b'"logger": "celery.'
# Everything is logged, as far as the product lets it be.
_SETTINGS = {"DJANGO_SETTINGS_MODULE": "finops.settings", "LOG_LEVEL": "DEBUG"}


@dataclass(frozen=True)
class Side:
    """A server, and the rules of the proxies in front of it."""

    port: int
    rules: Rules

    @property
    def uri(self) -> str:
        """The way around the proxies."""
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"


@dataclass(frozen=True)
class Installation:
    """A database of Django's that knows the flows, and the folder that everything is kept in."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def database(self) -> Path:
        return self.folder / "db.sqlite3"

    def manage(self, *arguments: str) -> None:
        """Run a management command to its end."""
        with (self.folder / "manage.log").open("ab") as output:
            subprocess.run(
                [sys.executable, "manage.py", *arguments],
                cwd=_ROOT,
                env=self.with_database(self.database),
                check=True,
                timeout=60,
                stdout=output,
                stderr=output,
            )

    def with_database(self, path: Path) -> dict[str, str]:
        """The environment of a process with this database."""
        return {**self.environment, "DATABASE_URL": f"sqlite:///{path}"}

    def for_worker(self, name: str, source: str, destination: str) -> Path:
        """Return a copy of the database in which the connections have other addresses."""
        path = self.folder / f"{name}.sqlite3"
        shutil.copy(self.database, path)
        with closing(sqlite3.connect(path)) as rows, rows:
            for connection, uri in (("source", source), ("destination", destination)):
                rows.execute(
                    "UPDATE replication_connection SET uri = ? WHERE name = ?", [uri, connection]
                )
        return path


def migrated_database(folder: Path) -> Path:
    """Return a database without rows, to be copied: making it takes seconds."""
    installation = Installation(folder, {**os.environ, **_SETTINGS})
    installation.manage("migrate", "--verbosity", "0")
    return installation.database


def new_installation(
    folder: Path,
    empty_database: Path,
    *,
    connections: Mapping[str, Mapping[str, str]],
    databases: tuple[str, str],
    environment: Mapping[str, str],
) -> Installation:
    """Make a database with one flow for each collection, as a declaration makes it.

    ``connections`` are the fields of "source" and "destination".
    """
    shutil.copy(empty_database, folder / empty_database.name)
    installation = Installation(folder, {**os.environ, **_SETTINGS, **environment})
    flows = {
        name: {
            "source": "source",
            "source_database": databases[0],
            "collection": name,
            "destination": "destination",
            "destination_database": databases[1],
            "destination_collection": name,
            "partition_fields": ["Day"] if name == ROWS else [],
        }
        for name in COLLECTIONS
    }
    declared = folder / "flows.yaml"
    # JSON is YAML too.
    declared.write_text(json.dumps({"connections": connections, "flows": flows}))
    installation.manage("flows", "apply", str(declared), "--yes")
    return installation


def plain(uri: str) -> dict[str, str]:
    """The fields of a connection without a sign-in."""
    return {"uri": uri, "auth_method": "connection_string"}


class Process:
    """A process of the product that a test kills, freezes and stops. Its log is searched."""

    def __init__(self, name: str, log: Path, command: list[str], environment: dict[str, str]):
        self.name = name
        self.log = log
        self._read_up_to = 0
        self._failures: list[str] = []
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                cwd=_ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # so that its children can be killed with it
            )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, to its children too."""
        self._signal(signal.SIGKILL)
        self._process.wait(_PATIENCE)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def ask_to_stop(self) -> None:
        """SIGTERM, as an operator's system sends it."""
        self._process.terminate()

    def exit_code(self) -> int:
        """Wait for the end of the process."""
        return self._process.wait(_PATIENCE)

    def failures(self) -> list[str]:
        """What the log tells of flows that only a person could mend, and of what was unforeseen."""
        with self.log.open("rb") as log:
            log.seek(self._read_up_to)
            whole, _, _ = log.read().rpartition(b"\n")  # the last line may still be growing
        self._read_up_to += len(whole)
        self._failures += [
            f"{self.name}: {line.decode()[:500]}"
            for line in whole.splitlines()
            if any(sign in line for sign in _UNWELL) and _LIBRARY not in line
        ]
        return self._failures

    def close(self) -> None:
        if self.running:
            self.kill()

    def _signal(self, number: int) -> None:
        if self.running:
            os.killpg(self._process.pid, number)


class Worker(Process):
    """Runs all flows in the foreground, and waits for those that another one has."""

    def __init__(
        self, name: str, installation: Installation, wire: Wire, source: Side, destination: Side
    ) -> None:
        self.source = Proxy(wire, name, source.port, source.rules)
        self.destination = Proxy(wire, name, destination.port, destination.rules)
        database = installation.for_worker(name, self.source.uri, self.destination.uri)
        super().__init__(
            name,
            installation.folder / f"{name}.log",
            ["manage.py", "replicate", "--all", "--wait"],
            installation.with_database(database),
        )

    def close(self) -> None:
        super().close()
        self.source.stop()
        self.destination.stop()
