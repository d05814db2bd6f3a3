"""Files of a storage that is not local are copied once, and the copies have a bound."""

from __future__ import annotations  # Django's File is generic in its stubs only

import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage

from finops.segments.store import SegmentFileMissing, SegmentStore

TABLE = pa.table({"number": [1, 2, 3]})


class RemoteStorage(Storage):
    """As a cloud's: without local paths."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        if name not in self.files:
            raise FileNotFoundError(name)
        return ContentFile(self.files[name], name)

    def _save(self, name: str, content: File[bytes]) -> str:
        self.files[name] = content.read()
        return name

    def delete(self, name: str) -> None:
        self.files.pop(name, None)

    def exists(self, name: str) -> bool:
        return name in self.files


@pytest.fixture
def remote() -> RemoteStorage:
    return RemoteStorage()


@pytest.fixture
def store(remote: RemoteStorage, tmp_path: Path) -> SegmentStore:
    return SegmentStore(remote, tmp_path, cache_bytes=1)


def test_a_remote_file_is_read_from_a_copy(store: SegmentStore, tmp_path: Path) -> None:
    store.write("1/a.parquet", TABLE)
    assert store.read(["1/a.parquet"]) == [str(tmp_path / "1" / "a.parquet")]
    assert pq.read_table(tmp_path / "1" / "a.parquet") == TABLE
    assert store.folders == [tmp_path]


def test_a_copy_is_made_once(store: SegmentStore, remote: RemoteStorage) -> None:
    store.write("a.parquet", TABLE)
    first = store.read(["a.parquet"])
    remote.delete("a.parquet")
    assert store.read(["a.parquet"]) == first


def test_copies_make_room_unless_a_page_may_be_reading_them(
    store: SegmentStore, tmp_path: Path
) -> None:
    names = ["old.parquet", "recent.parquet", "new.parquet"]
    for name in names:
        store.write(name, TABLE)
    store.read(names[:2])
    an_hour_ago = time.time() - 3600
    os.utime(tmp_path / "old.parquet", (an_hour_ago, an_hour_ago))
    store.read(names[2:])
    assert {path.name for path in tmp_path.iterdir()} == {"recent.parquet", "new.parquet"}


def test_a_missing_remote_file_leaves_nothing_behind(store: SegmentStore, tmp_path: Path) -> None:
    with pytest.raises(SegmentFileMissing):
        store.read(["gone.parquet"])
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_file_is_gone_here_and_there(
    store: SegmentStore, remote: RemoteStorage, tmp_path: Path
) -> None:
    store.write("a.parquet", TABLE)
    store.read(["a.parquet"])
    store.delete("a.parquet")
    store.delete("a.parquet")
    assert not remote.exists("a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_never_written_twice(store: SegmentStore) -> None:
    store.write("a.parquet", TABLE)
    with pytest.raises(FileExistsError, match=r"a\.parquet exists already"):
        store.write("a.parquet", TABLE)
