"""Where segments' files are kept: Django's storage ``segments``, and local copies of it."""

import os
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import Storage, storages

COMPRESSION = "zstd"
# A local copy in use now must not be removed to make room for another.
_IN_USE = 600.0  # seconds since the last use
_REMEMBERED = 10_000  # files that were there


class SegmentFileMissing(Exception):
    """The manifest names a file that the storage does not hold."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The segment file {name} is not in the storage."
            " Rebuild it from the documents: manage.py rebuild_segments."
        )


class SegmentStore:
    """Writes files once, under names that never come again, and reads them as local paths."""

    def __init__(
        self, storage: Storage | None = None, cache: Path | None = None, cache_bytes: int = 0
    ) -> None:
        """``cache`` and its bound ``cache_bytes`` matter for a storage that is not local."""
        self._storage = storages["segments"] if storage is None else storage
        self._cache = settings.SEGMENT_CACHE_DIR if cache is None else cache
        self._cache_bytes = cache_bytes or settings.SEGMENT_CACHE_BYTES
        self._seen: dict[str, str] = {}

    def write(self, name: str, table: pa.Table) -> None:
        """Store ``table`` as Parquet, as ``save`` does."""
        sink = BytesIO()
        pq.write_table(table, sink, compression=COMPRESSION)
        sink.seek(0)
        self.save(name, sink)

    def save(self, name: str, content: BinaryIO) -> None:
        """Store a file of Parquet; when this returns, it outlives a loss of power."""
        stored = self._storage.save(name, File(content))
        if stored != name:
            self._storage.delete(stored)
            raise FileExistsError(f"The segment file {name} exists already.")
        if self._local is not None:
            with Path(self._local, name).open("rb") as file:
                os.fsync(file.fileno())

    def read(self, names: Sequence[str]) -> list[str]:
        """Local paths of the named files, in order. Raises SegmentFileMissing."""
        return [self._path(name) for name in names]

    def look_again(self) -> None:
        """Look for each file once more: one that was there seems to be gone."""
        self._seen.clear()

    def delete(self, name: str) -> None:
        """Remove a file and its local copy; one that is gone already is no error."""
        self._storage.delete(name)
        self._seen.pop(name, None)
        (self._cache / name).unlink(missing_ok=True)

    @property
    def folders(self) -> list[Path]:
        """The folders that ``read`` answers from."""
        return [self._cache if self._local is None else Path(self._local)]

    @cached_property
    def _local(self) -> str | None:
        """The storage's folder; None where it is not on this machine."""
        try:
            return self._storage.path("")
        except NotImplementedError:
            return None

    def _path(self, name: str) -> str:
        if self._local is None:
            return self._copy(name)
        # A page asks for dozens: each is looked for once, and without the storage's own way to a
        # path. A file goes only when nothing has named it for a while.
        path = self._seen.get(name)
        if path is None:
            path = os.path.join(self._local, name)
            if not os.path.isfile(path):
                raise SegmentFileMissing(name)
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[name] = path
        return path

    def _copy(self, name: str) -> str:
        path = self._cache / name
        if path.is_file():
            os.utime(path)
            return str(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            with self._storage.open(name) as remote, partial.open("wb") as file:
                for chunk in remote.chunks():
                    file.write(chunk)
        except FileNotFoundError as error:
            partial.unlink(missing_ok=True)
            raise SegmentFileMissing(name) from error
        partial.replace(path)
        self._make_room()
        return str(path)

    def _make_room(self) -> None:
        """Remove the copies that were used longest ago, until the rest fits the bound."""
        copies = []
        for path in self._cache.rglob("*.parquet"):
            with suppress(FileNotFoundError):  # another process makes room too
                status = path.stat()
                copies.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in copies)
        for used_at, size, path in sorted(copies):
            if total <= self._cache_bytes or time.time() - used_at < _IN_USE:
                return
            path.unlink(missing_ok=True)
            total -= size
