"""Taking a CSV file apart, plain or gzipped, in batches and bounded memory."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from finops.importing.errors import UnreadableFileError
from finops.importing.raw_rows import RawRows

GZIP = b"\x1f\x8b"
_LONGEST_LINE = 8 * 2**20  # characters; a file without line ends must not fill the memory
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_PARQUET = b"PAR1"


class CsvRows:
    """The rows of an open CSV file. Every method may raise ``UnreadableFileError``."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self.undecodable: list[int] = []  # lines with bytes that are not UTF-8, since last asked
        self._line = 0
        with self._failures():
            self._text = self._opened()
            self._reader = csv.reader(self._lines())
            self.names = next(self._reader, [])

    @property
    def position(self) -> int:
        """How many bytes of the file have been read."""
        return self._file.tell()

    def close(self) -> None:
        """Close what is above the file; the file itself is its owner's."""
        self._text.close()

    def batches(self, size: int) -> Iterator[RawRows]:
        """The rows, ``size`` at a time."""
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
        content = self._file
        if start.startswith(GZIP):
            content = cast(BinaryIO, gzip.GzipFile(fileobj=self._file))
            start = content.read(4)
            content.seek(0)
        if start == _PARQUET:
            raise UnreadableFileError(
                f"{self._path} is a Parquet file inside gzip; Parquet has its own compression."
                " Unpack it first: gunzip."
            )
        encoding = "utf-16" if start.startswith(_UTF16) else "utf-8-sig"
        return io.TextIOWrapper(content, encoding, errors="replace", newline="")

    def _lines(self) -> Iterator[str]:
        read = self._text.readline
        while line := read(_LONGEST_LINE):
            self._line += 1
            if len(line) == _LONGEST_LINE:
                raise UnreadableFileError(
                    f"{self._path}, line {self._line} is longer than {_LONGEST_LINE:,} characters."
                    " Is it a CSV file?"
                )
            if not line.isascii() and "\ufffd" in line:
                self.undecodable.append(self._line)
            yield line

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what reading may raise into ``UnreadableFileError``."""
        try:
            yield
        except OSError as error:  # gzip's own is one of these
            reason = error.strerror or "damaged gzip data"
            raise UnreadableFileError(f"{self._path} cannot be read: {reason}.") from error
        except (EOFError, zlib.error) as error:
            raise UnreadableFileError(
                f"{self._path} ends too early or is damaged; fetch it again."
            ) from error
        except csv.Error as error:
            raise UnreadableFileError(
                f"{self._path}, near line {self._line}: {error}. Is a quote missing?"
            ) from error
