"""Taking a CSV file apart, plain or gzipped, in batches and bounded memory."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from finops.focus import column_named, missing_columns
from finops.importing.errors import NotFocusError, UnreadableFileError

BATCH = 1_000
_LONGEST_LINE = 8 * 2**20  # characters; a file without line ends must not fill the memory
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"


@dataclass(frozen=True)
class RawRows:
    """Rows as text. ``lines`` has the number of the line on which each begins."""

    lines: list[int]
    cells: list[list[str]]


class FocusFile:
    """An open file of FOCUS rows, its header read and checked. Use as a context manager.

    ``header`` has the columns' names, known ones in the specification's spelling. ``size`` and
    ``position`` are bytes on disk. Opening raises ``UnreadableFileError`` or ``NotFocusError``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.undecodable: list[int] = []  # lines with bytes that are not UTF-8, since last asked
        with self._failures():
            self._file = path.open("rb")
            try:
                self.size = path.stat().st_size
                self._text = self._opened()
                self._reader = csv.reader(self._lines())
                self.header = self._header()
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
        self._text.close()
        self._file.close()

    @property
    def position(self) -> int:
        """How many bytes of the file have been read."""
        return self._file.tell()

    def batches(self, size: int = BATCH) -> Iterator[RawRows]:
        """The rows, ``size`` at a time; raises ``UnreadableFileError`` where they end badly."""
        lines: list[int] = []
        cells: list[list[str]] = []
        with self._failures():
            line = self._reader.line_num + 1
            for row in self._reader:
                if row:  # an empty line is no row
                    lines.append(line)
                    cells.append(row)
                line = self._reader.line_num + 1
                if len(cells) == size:
                    yield RawRows(lines, cells)
                    lines, cells = [], []
        if cells:
            yield RawRows(lines, cells)

    def _opened(self) -> io.TextIOWrapper:
        start = self._file.read(4)
        self._file.seek(0)
        content = cast(BinaryIO, self._file)
        if start.startswith(_GZIP):
            content = cast(BinaryIO, gzip.GzipFile(fileobj=self._file))
            start = content.read(4)
            content.seek(0)
        if start == _PARQUET:
            raise UnreadableFileError(
                f"{self.path} is a Parquet file; only CSV, plain or gzipped, is read."
                " Export it as CSV."
            )
        encoding = "utf-16" if start.startswith(_UTF16) else "utf-8-sig"
        return io.TextIOWrapper(content, encoding, errors="replace", newline="")

    def _lines(self) -> Iterator[str]:
        read, number = self._text.readline, 0
        while line := read(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE:
                raise UnreadableFileError(
                    f"{self.path}, line {number} is longer than {_LONGEST_LINE:,} characters."
                    " Is it a CSV file?"
                )
            if not line.isascii() and "\ufffd" in line:
                self.undecodable.append(number)
            yield line

    def _header(self) -> list[str]:
        names = [column_named(cell.strip()).name for cell in next(self._reader, [])]
        missing = missing_columns(set(names))
        if missing:
            hint = ""
            if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
                hint = " Its cells seem to be separated by semicolons or tabs; expected commas."
            raise NotFocusError(
                f"{self.path} is not a file of FOCUS rows: {len(missing)} of the mandatory columns"
                f" are missing: {', '.join(missing)}.{hint} Nothing was imported."
            )
        for number, name in enumerate(names, start=1):
            self._check_name(number, name)
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise NotFocusError(
                f"{self.path} has the columns {', '.join(repeated)} more than once (letter case"
                " aside). Remove the copies. Nothing was imported."
            )
        return names

    def _check_name(self, number: int, name: str) -> None:
        """Refuse names that a document cannot have."""
        if not name or name == "_id" or name.startswith("$") or "\0" in name:
            raise NotFocusError(
                f"{self.path}: column {number} is called {name!r}, which a document's field cannot"
                " be. Rename it or remove it. Nothing was imported."
            )

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what reading may raise into ``UnreadableFileError``."""
        try:
            yield
        except OSError as error:  # gzip's own is one of these
            reason = error.strerror or "damaged gzip data"
            raise UnreadableFileError(f"{self.path} cannot be read: {reason}.") from error
        except (EOFError, zlib.error) as error:
            raise UnreadableFileError(
                f"{self.path} ends too early or is damaged; fetch it again."
            ) from error
        except csv.Error as error:
            raise UnreadableFileError(
                f"{self.path}, near line {self._reader.line_num}: {error}. Is a quote missing?"
            ) from error
