"""``manage.py import_focus FILE...``: FOCUS rows into the source of a dataset's flow."""

import glob
import json
import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from finops.importing.errors import ImportFailedError
from finops.importing.journal import Journal
from finops.importing.run import OnProgress, Progress, import_files
from finops.models import Dataset
from replication import mongo, status

_LINE_EVERY = 3.0  # seconds between lines where there is no terminal for a bar


class Command(BaseCommand):
    """Checks what was asked for, runs the import, prints the summary."""

    help = (
        "Load FOCUS rows from files, CSV (plain or gzipped) or Parquet, into the collection that"
        " the data set's flow copies from. A month may be imported any number of times: what is"
        " there stays, what is new is added, and what its files no longer have is removed. Name all"
        " files of a month in one command: exports often come in parts."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument(
            "files",
            nargs="+",
            metavar="FILE",
            help="a file, or a pattern such as 'export/**/*.parquet' where the shell expands none",
        )
        parser.add_argument("--dataset", metavar="NAME", help="default: the only one there is")
        parser.add_argument(
            "--keep-missing",
            action="store_true",
            help="keep rows of the same billing account and period that are in no file",
        )
        parser.add_argument(
            "--report",
            type=Path,
            metavar="FILE",
            help="write every defect and every row set aside, with line numbers, as JSON",
        )

    def handle(
        self,
        *_args: Any,
        files: list[str],
        dataset: str | None,
        keep_missing: bool,
        report: Path | None,
        **_options: Any,
    ) -> None:
        """Run the import."""
        if report and not report.parent.is_dir():
            raise CommandError(f"--report {report}: there is no folder {report.parent}.")
        paths = _paths(files)
        chosen = _dataset(dataset)
        source = _source(chosen)
        try:
            database = mongo.database(source.connection, source.database)
        except status.ReplicationError as error:
            raise CommandError(f"Connection {source.connection!r}: {error}") from error
        try:
            with _progress() as on_progress:
                summary = import_files(
                    paths,
                    database[source.collection],
                    Journal(source),
                    keep_missing=keep_missing,
                    on_progress=on_progress,
                )
        except ImportFailedError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Data set {chosen.name}, source {source.database}.{source.collection}")
        self.stdout.write(summary.text())
        if report:
            report.write_text(json.dumps(summary.report(), indent=1, ensure_ascii=False))
            self.stdout.write(f"\nThe report is in {report}.")
        elif summary.defects.rows_set_aside:
            self.stdout.write("\nRun again with --report FILE to see which rows were set aside.")


def _paths(named: list[str]) -> list[Path]:
    """The files, and those that patterns match, each pattern's in the order of their names."""
    paths: list[Path] = []
    for name in named:
        if os.path.lexists(name) or not glob.has_magic(name):
            paths.append(Path(name))
            continue
        matching = sorted(map(Path, glob.iglob(name, recursive=True)))
        files = [path for path in matching if path.is_file()]
        if not files:
            raise CommandError(f"No file matches {name!r}. Nothing was imported.")
        paths += files
    return paths


def _dataset(name: str | None) -> Dataset:
    """The data set of that name, or the only one."""
    found = {dataset.name: dataset for dataset in Dataset.objects.all()}
    if not found:
        raise CommandError("There is no data set yet. Add one in the admin, under Finops.")
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name not in found:
        asked = "There are several data sets" if name is None else f"There is no data set {name!r}"
        raise CommandError(f"{asked}; choose with --dataset: {', '.join(sorted(found))}.")
    return found[name]


def _source(dataset: Dataset) -> status.Namespace:
    """Where the data set's flow copies from."""
    try:
        return status.source_of(dataset.flow)
    except status.UnknownFlow as error:
        raise CommandError(
            f"Data set {dataset.name!r} reads the flow {dataset.flow!r}, which does not exist."
            " Add the flow in the admin, or name another one in the data set."
        ) from error
    except status.SeveralCollections as error:
        raise CommandError(f"Data set {dataset.name!r}: {error}") from error


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """A bar on a terminal; elsewhere a line every few seconds."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    with tqdm(unit="B", unit_scale=True, unit_divisor=1024, desc="import") as bar:

        def show(progress: Progress) -> None:
            bar.total = progress.bytes_total
            bar.set_postfix_str(f"{progress.rows:,} rows", refresh=False)
            bar.update(progress.bytes_read - bar.n)

        yield show


def _lines() -> OnProgress:
    last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
            share = progress.bytes_read / max(progress.bytes_total, 1)
            sys.stderr.write(f"import: {progress.rows:,} rows, {share:.0%}\n")
            sys.stderr.flush()

    return show
