"""Taking a Parquet file apart: its typed columns as the text that a CSV export would have.

So a row is read by the same rules, has the same defects counted and gets the same ``_id`` whether a
month came as CSV or as Parquet, and a month may change from one to the other without doubling.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from finops.importing.errors import UnreadableFileError
from finops.importing.raw_rows import RawRows

PARQUET = b"PAR1"


class ParquetRows:
    """The rows of an open Parquet file. Every method may raise ``UnreadableFileError``.

    One batch of a row group is in memory at a time, whatever the size of the file.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._path = path
        self._read = 0
        self.undecodable: list[int] = []
        with self._failures():
            self._size = path.stat().st_size
            # A damaged file may promise more than there is: nothing is read ahead of its use.
            self._parquet = pq.ParquetFile(file, pre_buffer=False)
            self.names = list(self._parquet.schema_arrow.names)
            self._rows = self._parquet.metadata.num_rows

    @property
    def position(self) -> int:
        """How many bytes of the file have been read, by its share of rows."""
        return self._size * self._read // self._rows if self._rows else self._size

    def close(self) -> None:
        """Let go of everything but the file itself."""
        self._parquet.close()

    def batches(self, size: int) -> Iterator[RawRows]:
        """The rows, ``size`` at a time."""
        with self._failures():
            for batch in self._parquet.iter_batches(batch_size=size, use_threads=False):
                first = self._read + 1
                lines = list(range(first, first + batch.num_rows))
                columns = [self._texts(column, first) for column in batch.columns]
                self._read += batch.num_rows
                yield RawRows(lines, [list(cells) for cells in zip(*columns, strict=True)])

    def _texts(self, column: pa.Array, first: int) -> list[str]:
        """One column's cells as text; empty for null."""
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = column.dictionary_decode()
            kind = column.type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return [self._decoded(cell, first + i) for i, cell in enumerate(column.to_pylist())]
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
        elif not _is_plain(kind):
            return ["" if cell is None else _json(cell, kind) for cell in column.to_pylist()]
        return [_text(cell) for cell in column.to_pylist()]

    def _decoded(self, cell: bytes | None, line: int) -> str:
        if cell is None:
            return ""
        text = cell.decode(errors="replace")
        if "\ufffd" in text:
            self.undecodable.append(line)
        return text

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what reading may raise into ``UnreadableFileError``."""
        try:
            yield
        # Arrow answers damage with kinds of OSError, ValueError, TypeError, KeyError and
        # NotImplementedError; a name or a text that is not UTF-8 with UnicodeDecodeError.
        except (pa.ArrowException, OSError, ValueError, TypeError, LookupError) as error:
            raise UnreadableFileError(
                f"{self._path} cannot be read as Parquet ({type(error).__name__}): it is damaged or"
                " ends too early, or it uses what is not supported. Fetch it again, or export it as"
                " CSV."
            ) from error
        except (MemoryError, OverflowError) as error:
            raise UnreadableFileError(
                f"{self._path} asks for more memory than there is: it is damaged, or its row groups"
                " are too large. Export it with smaller row groups, or as CSV."
            ) from error


def _is_plain(kind: pa.DataType) -> bool:
    """Whether a value of this type is one cell of text, not an object or a list of them."""
    return not (pa.types.is_nested(kind) or pa.types.is_union(kind))


def _text(cell: Any) -> str:
    """A plain value as a CSV export would write it."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if hasattr(cell, "isoformat"):
        return str(cell.isoformat())
    return str(cell)


def _json(cell: Any, kind: pa.DataType) -> str:
    """An object or a list as JSON; a map is an object, its values as they are."""
    if pa.types.is_map(kind):
        return _pairs(cell)
    return json.dumps(cell, default=_plain_text, ensure_ascii=False)


def _pairs(pairs: list[tuple[Any, Any]]) -> str:
    """Written pair by pair: a key that stands twice has to be seen."""
    written = (
        f"{json.dumps(_text(key), ensure_ascii=False)}:"
        f"{json.dumps(value, default=_plain_text, ensure_ascii=False)}"
        for key, value in pairs
    )
    return f"{{{','.join(written)}}}"


def _plain_text(value: Any) -> str:
    """What JSON has no form for: numbers of any size and times as text, bytes as base64."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else _text(value)
