"""How fast FOCUS rows are read: ``python -m benchmarks.import_focus`` (about 30 s).

The same generated file through a bare ``csv.reader`` loop (the yardstick), through reading and
normalising, and through that plus the digests for ids; they take turns, best CPU time of each
counts. Memory is the peak of a process of its own that does all three on two sizes of file.
Writing is the server's speed and stands apart: ``--server PATH`` starts a program, as
``secantusd-rs``, and imports into it, anew and once more without a change, beside a bare
``insert_many`` of the same documents; wall time counts there.
"""

import argparse
import csv
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command

from finops.importing.defects import Defects
from finops.importing.identity import Identities
from finops.importing.reading import FocusFile
from finops.importing.rows import Normaliser
from sandbox.data.generator import write
from tests import environment  # noqa: F401 - what the settings read: a folder and database of its own

END = date(2026, 10, 20)
ROUNDS = 5
MEMORY_ROWS = (50_000, 200_000)


def bare(path: Path) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def normalise(path: Path) -> int:
    rows = 0
    with FocusFile(path) as file:
        normaliser = Normaliser(file.header, Defects())
        for batch in file.batches():
            rows += len(normaliser.documents(batch))
    return rows


def normalise_and_digest(path: Path) -> int:
    rows, identities = 0, Identities()
    with FocusFile(path) as file:
        normaliser = Normaliser(file.header, Defects())
        for batch in file.batches():
            for document in normaliser.documents(batch):
                identities.assign(document)
                rows += 1
    return rows


STEPS: dict[str, Callable[[Path], int]] = {
    "csv.reader": bare,
    "read and normalise": normalise,
    "read, normalise, digest": normalise_and_digest,
}


def speeds(path: Path) -> dict[str, float]:
    """Rows a second of CPU time, the best of some rounds."""
    best = dict.fromkeys(STEPS, 0.0)
    for _ in range(ROUNDS):
        for name, step in STEPS.items():
            start = time.process_time()
            rows = step(path)
            best[name] = max(best[name], rows / (time.process_time() - start))
    return best


def peak_memory(path: Path) -> float:
    """MiB at most, of a fresh process that imports the file short of writing."""
    command = [sys.executable, "-m", "benchmarks.import_focus", "--only-memory", str(path)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def import_into(program: Path, path: Path, folder: Path) -> None:
    """Import into a server of its own, beside a bare loop, and print rows a second."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "finops.settings",
        "LOG_LEVEL": "ERROR",
        "VAR_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder}/finops.sqlite3",
    }
    django.setup()
    call_command("migrate", verbosity=0)
    from benchmarks.snapshot import server
    from finops.importing.journal import Journal
    from finops.importing.run import import_files
    from replication.models import Connection
    from replication.mongo import database
    from replication.status import Namespace

    with server(program) as uri:
        Connection.objects.create(name="source", uri=uri, auth_method="connection_string")
        source = Namespace("source", "billing", "imported")
        collections = database(source.connection, source.database)

        def imported() -> int:
            return import_files([path], collections[source.collection], Journal(source)).rows

        steps: dict[str, Callable[[], float]] = {
            "bare insert_many": lambda: _bare_speed(path, collections["bare"]),
            "import": lambda: _speed(imported),
            "import again, no change": lambda: _speed(imported),
        }
        for name, step in steps.items():
            print(f"{name:<24} {step():>9,.0f} rows/s   into {program.name}")


def _speed(step: Callable[[], int]) -> float:
    start = time.perf_counter()
    rows = step()
    return rows / (time.perf_counter() - start)


def _bare_speed(path: Path, collection: Any) -> float:
    """Of sending the file's documents; making them does not count."""
    rows, taken, identities = 0, 0.0, Identities()
    with FocusFile(path) as file:
        normaliser = Normaliser(file.header, Defects())
        for batch in file.batches():
            documents = normaliser.documents(batch)
            for document in documents:
                identities.assign(document)
            start = time.perf_counter()
            collection.insert_many(documents, ordered=False)
            taken += time.perf_counter() - start
            rows += len(documents)
    return rows / taken


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only-memory", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--server", type=Path, help="a program to start a server with")
    options = parser.parse_args()
    asked = options.only_memory
    if asked:
        normalise_and_digest(asked)
        unit = 2**20 if sys.platform == "darwin" else 2**10
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
        return
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} CPUs")
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for rows in MEMORY_ROWS:
            paths[rows] = Path(folder) / f"{rows}.csv"
            start = time.process_time()
            write(paths[rows], rows=rows, end=END)
            print(f"generated {rows:,} rows, {rows / (time.process_time() - start):,.0f} rows/s")
        found = speeds(paths[MEMORY_ROWS[0]])
        for name, speed in found.items():
            print(f"{name:<24} {speed:>9,.0f} rows/s   {found['csv.reader'] / speed:5.1f} ×")
        for rows, path in paths.items():
            print(f"peak memory, {rows:>7,} rows: {peak_memory(path):6.1f} MiB")
        if options.server:
            import_into(options.server, paths[MEMORY_ROWS[-1]], Path(folder))


if __name__ == "__main__":
    main()
