"""Rows on their way to a file, on disk: a month's may be larger than memory."""

import tempfile
from datetime import date
from types import TracebackType
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.conf import settings

from finops.segments.schema import CHARGE_DAY, SegmentSchema
from finops.segments.store import COMPRESSION


class RowSpool:
    """A Parquet file without a name, which goes with its process; to be used in a ``with``."""

    def __init__(self, schema: SegmentSchema) -> None:
        folder = settings.SEGMENT_CACHE_DIR / "spill"
        folder.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - see __exit__
        self._writer = pq.ParquetWriter(self._file, schema.rows, compression=COMPRESSION)
        self._days: set[date] = set()

    @property
    def days(self) -> int:
        """How many charge days the rows have."""
        return len(self._days)

    def add(self, rows: pa.Table) -> None:
        """Write rows: what is added at once is later read, or skipped, as a whole."""
        self._days.update(pc.unique(rows[CHARGE_DAY]).to_pylist())
        self._writer.write_table(rows, row_group_size=max(len(rows), 1))

    def finish(self) -> BinaryIO:
        """The whole file, to be read from its beginning."""
        self._writer.close()
        self._file.seek(0)
        return self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        self._file.close()
