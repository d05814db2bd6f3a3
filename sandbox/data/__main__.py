"""``python -m sandbox.data --out FILE``: writes generated FOCUS rows as CSV."""

import argparse
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sandbox.data.generator import DEFAULT_ROWS, FEWEST_ROWS, write


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.data",
        description="Write thirteen months of a made-up company's Azure bill as FOCUS 1.2.",
    )
    parser.add_argument("--out", type=Path, required=True, help="gzipped if it ends with .gz")
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--end",
        type=date.fromisoformat,
        default=datetime.now(UTC).date() - timedelta(days=1),
        help="the last charge day, e.g. 2026-10-20; default: yesterday",
    )
    arguments = parser.parse_args()
    if arguments.rows < FEWEST_ROWS:
        parser.error(f"--rows: at least {FEWEST_ROWS}")
    start = time.monotonic()
    write(arguments.out, rows=arguments.rows, seed=arguments.seed, end=arguments.end)
    seconds = time.monotonic() - start
    print(f"{arguments.rows:,} rows to {arguments.end} in {arguments.out}, {seconds:.1f} s")


if __name__ == "__main__":
    main()
