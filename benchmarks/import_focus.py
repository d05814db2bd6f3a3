"""How fast FOCUS rows are read: ``python -m benchmarks.import_focus`` (about 30 s).

The same generated file through a bare ``csv.reader`` loop (the yardstick), through reading and
normalising, and through that plus the digests for ids; they take turns, best CPU time of each
counts. Writing is left out: that is the server's speed. Memory is the peak of a process of its own
that does all three on a small and on a large file.
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

from finops.importing.defects import Defects
from finops.importing.identity import Identities
from finops.importing.reading import FocusFile
from finops.importing.rows import Normaliser
from sandbox.data.generator import write

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-memory", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args().only_memory
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


if __name__ == "__main__":
    main()
