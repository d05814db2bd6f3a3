"""Opening a file of FOCUS rows, whatever its format, and checking its header."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from finops.focus import column_named, missing_columns
from finops.importing.csv_files import CsvRows
from finops.importing.errors import NotFocusError, UnreadableFileError
from finops.importing.parquet_files import PARQUET, ParquetRows
from finops.importing.raw_rows import FileRows, RawRows

BATCH = 1_000


class FocusFile:
    """An open file of FOCUS rows, its header read and checked. Use as a context manager.

    CSV, plain or gzipped, and Parquet: the content tells, not the name. ``header`` has the columns'
    names, known ones in the specification's spelling. ``size`` and ``position`` are bytes on disk.
    Opening raises ``UnreadableFileError`` or ``NotFocusError``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            hint = f" Name its files, e.g. '{path}/**/*.parquet'." if path.is_dir() else ""
            raise UnreadableFileError(f"{path} cannot be read: {error.strerror}.{hint}") from error
        try:
            self._rows = self._opened()
            self.header = _header(path, self._rows.names)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "FocusFile":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._rows.close()
        self._file.close()

    @property
    def position(self) -> int:
        """How many bytes of the file have been read."""
        return self._rows.position

    @property
    def undecodable(self) -> list[int]:
        """Lines with bytes that are not UTF-8; whoever has counted them clears the list."""
        return self._rows.undecodable

    def batches(self, size: int = BATCH) -> Iterator[RawRows]:
        """The rows, ``size`` at a time; raises ``UnreadableFileError`` where they end badly."""
        return self._rows.batches(size)

    def _opened(self) -> FileRows:
        try:
            start = self._file.read(len(PARQUET))
            self._file.seek(0)
        except OSError as error:
            raise UnreadableFileError(f"{self.path} cannot be read: {error.strerror}.") from error
        kind = ParquetRows if start == PARQUET else CsvRows
        return kind(self._file, self.path)


def _header(path: Path, written: list[str]) -> list[str]:
    names = [column_named(name.strip()).name for name in written]
    missing = missing_columns(set(names))
    if missing:
        hint = ""
        if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
            hint = " Its cells seem to be separated by semicolons or tabs; expected commas."
        raise NotFocusError(
            f"{path} is not a file of FOCUS rows: {len(missing)} of the mandatory columns"
            f" are missing: {', '.join(missing)}.{hint} Nothing was imported."
        )
    for number, name in enumerate(names, start=1):
        if not name or name == "_id" or name.startswith("$") or "\0" in name:
            raise NotFocusError(
                f"{path}: column {number} is called {name!r}, which a document's field cannot"
                " be. Rename it or remove it. Nothing was imported."
            )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise NotFocusError(
            f"{path} has the columns {', '.join(repeated)} more than once (letter case"
            " aside). Remove the copies. Nothing was imported."
        )
    return names
