"""A whole import: files in, a collection written, a summary out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from finops.importing.defects import Rule
from finops.importing.errors import LoadingError, NotFocusError
from finops.importing.identity import Identities
from finops.importing.loading import Announcer, DocumentCollection, Loader
from finops.importing.reading import FocusFile
from finops.importing.rows import Normaliser
from finops.importing.summary import ImportSummary


@dataclass(frozen=True)
class Progress:
    """How far an import is, in bytes of its files on disk and in rows."""

    bytes_read: int
    bytes_total: int
    rows: int


OnProgress = Callable[[Progress], None]


class Recorder(Announcer, Protocol):
    """Who keeps the history, besides being told of changes; ``journal.Journal`` is one."""

    def start(self, files: Sequence[str]) -> None:
        """An import of these files begins."""
        ...

    def finish(self, outcome: Mapping[str, int], defects: Sequence[Mapping[str, Any]]) -> None:
        """It went well."""
        ...

    def fail(self) -> None:
        """It stopped with an error."""
        ...


def import_files(
    paths: Sequence[Path],
    collection: DocumentCollection,
    journal: Recorder | None = None,
    *,
    keep_missing: bool = False,
    on_progress: OnProgress = lambda _progress: None,
) -> ImportSummary:
    """Make the collection hold the files' rows, for each billing account and period in them.

    Rows that are there stay untouched, new ones are inserted and, unless ``keep_missing``, those
    of the same billing account and period that are in no file are deleted, last of all. Every
    file's header is checked before anything is written. Raises a kind of ``ImportFailedError``;
    an import that stopped half-way is repaired by running it again. The ``journal`` is told of
    every month before it changes and when it is whole; without one nobody is.
    """
    _check(paths)
    with _recorded(journal, [path.name for path in paths]):
        summary = _import(paths, Loader(collection, journal), keep_missing, on_progress)
        if journal is not None:
            journal.finish(summary.outcome(), summary.defects.to_json())
    return summary


@contextmanager
def _recorded(journal: Recorder | None, files: Sequence[str]) -> Iterator[None]:
    """Put an import into the history, and say there when it fails."""
    if journal is None:
        yield
        return
    journal.start(files)
    try:
        yield
    except BaseException:
        with suppress(LoadingError):  # what stopped the import is what has to be told
            journal.fail()
        raise


def _import(
    paths: Sequence[Path], loader: Loader, keep_missing: bool, on_progress: OnProgress
) -> ImportSummary:
    total = sum(path.stat().st_size for path in paths)
    summary = ImportSummary(files=[str(path) for path in paths])
    identities = Identities()
    loader.prepare()
    done = 0
    for path in paths:
        with FocusFile(path) as file:
            for _ in _load(file, loader, identities, summary):
                on_progress(Progress(done + file.position, total, summary.rows))
            done += file.size
    if not keep_missing:
        summary.removed = loader.remove_missing()
    loader.complete()
    summary.add_up(loader.sums())
    on_progress(Progress(total, total, summary.rows))
    return summary


def _check(paths: Sequence[Path]) -> None:
    """Refuse what can be seen to be wrong before the first write."""
    seen = set()
    for path in paths:
        with FocusFile(path):  # reads and checks the header
            pass
        if path.resolve() in seen:
            raise NotFocusError(
                f"{path} is named twice, which would count its rows twice. Nothing was imported."
            )
        seen.add(path.resolve())


def _load(
    file: FocusFile, loader: Loader, identities: Identities, summary: ImportSummary
) -> Iterator[None]:
    """Load one file; yields after every batch."""
    defects = summary.defects
    defects.file = str(file.path)
    normaliser = Normaliser(file.header, defects)
    for batch in file.batches():
        documents = normaliser.documents(batch)
        for document in documents:
            identities.assign(document)
        written = loader.write(documents)
        summary.rows += len(batch.cells)
        summary.inserted += written.inserted
        summary.unchanged += written.unchanged
        defects.add(Rule.NOT_UTF8, "", file.undecodable)
        file.undecodable.clear()
        yield
    normaliser.finish()
