"""An import leaves the collection as its files are, however often and in whatever state it runs."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from finops.importing.errors import LoadingError, NotFocusError, UnreadableFileError
from finops.importing.run import Progress, import_files
from tests.finops import oracle
from tests.finops.focus_rows import SAMPLE, MemoryCollection, row, write_csv

OCTOBER = {
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargePeriodStart": "2026-10-01T00:00:00Z",
    "ChargePeriodEnd": "2026-10-02T00:00:00Z",
}


def costs(collection: MemoryCollection) -> list[str]:
    return sorted(str(doc["BilledCost"]) for doc in collection.documents.values())


def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    collection = MemoryCollection()
    path = write_csv(tmp_path / "a.csv", [row(), row(), row(BilledCost="2")])
    first = import_files([path], collection)
    again = import_files([path], collection)
    assert (first.inserted, first.unchanged, first.removed) == (3, 0, 0)
    assert (again.inserted, again.unchanged, again.removed) == (0, 3, 0)
    assert costs(collection) == ["1.5", "1.5", "2"]


def test_a_corrected_file_changes_what_differs(tmp_path: Path) -> None:
    collection = MemoryCollection()
    path = tmp_path / "a.csv"
    import_files([write_csv(path, [row(), row(), row(BilledCost="2")])], collection)
    corrected = import_files([write_csv(path, [row(), row(BilledCost="3")])], collection)
    assert (corrected.inserted, corrected.unchanged, corrected.removed) == (1, 1, 2)
    assert costs(collection) == ["1.5", "3"]


def test_other_months_and_accounts_stay(tmp_path: Path) -> None:
    collection = MemoryCollection()
    rows = [row(), row(**OCTOBER), row(BillingAccountId="acc-2"), row(BillingAccountId="")]
    import_files([write_csv(tmp_path / "all.csv", rows)], collection)
    only = write_csv(tmp_path / "october.csv", [row(**OCTOBER, ListCost="9")])
    assert import_files([only], collection).removed == 1
    assert len(collection.documents) == 4


def test_rows_without_a_billing_account_are_a_partition_too(tmp_path: Path) -> None:
    collection = MemoryCollection()
    path = tmp_path / "a.csv"
    import_files([write_csv(path, [row(BillingAccountId=""), row()])], collection)
    again = import_files([write_csv(path, [row(BillingAccountId="", ListCost="5")])], collection)
    assert (again.inserted, again.removed) == (1, 1)
    assert len(collection.documents) == 2


def test_missing_rows_are_kept_on_request(tmp_path: Path) -> None:
    collection = MemoryCollection()
    path = tmp_path / "a.csv"
    import_files([write_csv(path, [row(), row(BilledCost="2")])], collection)
    assert import_files([write_csv(path, [row()])], collection, keep_missing=True).removed == 0
    assert costs(collection) == ["1.5", "2"]


def test_like_rows_in_several_files_all_count(tmp_path: Path) -> None:
    collection = MemoryCollection()
    paths = [write_csv(tmp_path / name, [row()]) for name in ("a.csv", "b.csv")]
    assert import_files(paths, collection).inserted == 2
    assert import_files(paths, collection).unchanged == 2


def test_a_file_named_twice_is_refused(tmp_path: Path) -> None:
    collection = MemoryCollection()
    path = write_csv(tmp_path / "a.csv", [row()])
    with pytest.raises(NotFocusError, match="named twice"):
        import_files([path, tmp_path / "." / "a.csv"], collection)
    assert collection.documents == {}


def test_nothing_is_written_when_one_header_is_wrong(tmp_path: Path) -> None:
    collection = MemoryCollection()
    good, bad = write_csv(tmp_path / "a.csv", [row()]), tmp_path / "b.csv"
    bad.write_text("BilledCost\n1\n")
    with pytest.raises(NotFocusError):
        import_files([good, bad], collection)
    assert collection.documents == {}
    assert collection.indexes == set()


def test_an_import_that_broke_off_removes_nothing_and_is_completed_by_the_next(
    tmp_path: Path,
) -> None:
    collection = MemoryCollection()
    path = tmp_path / "a.csv"
    import_files([write_csv(path, [row(BilledCost=str(i)) for i in range(3000)])], collection)
    whole = write_csv(path, [row(BilledCost=str(i)) for i in range(1, 3001)]).read_text()
    path.write_text(whole[: len(whole) // 2] + '"' + whole[len(whole) // 2 :])
    with pytest.raises(UnreadableFileError):
        import_files([path], collection)
    assert len(collection.documents) == 3000
    path.write_text(whole)
    summary = import_files([path], collection)
    assert (summary.inserted, summary.removed) == (1, 1)
    assert import_files([path], collection).unchanged == 3000


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    seen: list[Progress] = []
    paths = [
        write_csv(tmp_path / name, [row(ListCost=str(i)) for i in range(1500)])
        for name in ("a.csv", "b.csv")
    ]
    import_files(paths, MemoryCollection(), on_progress=seen.append)
    assert seen == sorted(seen, key=lambda progress: progress.bytes_read)
    last = seen[-1]
    assert (last.bytes_read, last.rows) == (last.bytes_total, 3000)


class RefusingCollection(MemoryCollection):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def insert_many(self, documents: Sequence[Mapping[str, Any]], ordered: bool = True) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("code", "says"),
    [(11000, "another import is writing the same rows"), (121, r"BulkWriteError \(code 121\)")],
)
def test_refused_writes_are_told_without_the_rows(tmp_path: Path, code: int, says: str) -> None:
    details = {"writeErrors": [{"code": code, "op": {"ServiceName": "Virtual Machines"}}]}
    collection = RefusingCollection(BulkWriteError(details))
    with pytest.raises(LoadingError, match=says) as caught:
        import_files([write_csv(tmp_path / "a.csv", [row()])], collection)
    assert "Virtual Machines" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.fixture
def source(mongo_server: str) -> Iterator[Collection[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongo_server, tz_aware=True) as client:
        yield client["import_focus"][uuid.uuid4().hex]


def test_the_official_sample_in_a_real_collection(source: Collection[dict[str, Any]]) -> None:
    summary = import_files([SAMPLE], source)
    assert (summary.rows, summary.inserted) == (1000, 1000)
    stored = list(source.find())
    rows = oracle.rows(SAMPLE)
    for metric in oracle.METRICS:
        total = sum((doc[metric].to_decimal() for doc in stored if metric in doc), Decimal(0))
        expected = oracle.total(rows, metric, "USD")
        assert total == expected.amount
        assert sum(metric not in doc for doc in stored) == expected.missing
        assert sum(part.sums()[metric] for part in summary.sums.values()) == expected.amount
    assert oracle.total(rows, "BilledCost", "USD").amount == Decimal("20.52022672899")
    assert oracle.total(rows, "EffectiveCost", "USD").amount == Decimal("14.97651418586")
    assert oracle.total(rows, "ListCost", "USD").amount == Decimal("20.39090575119")
    assert oracle.total(rows, "ContractedCost", "USD") == oracle.Total(Decimal("14.97626039326"), 7)


def test_a_real_collection_follows_its_files(
    source: Collection[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    tags = '{"a.b": "1", "$c": "2", " d": true, "": "4"}'
    rows = [row(BilledCost=str(i), Tags=tags) for i in range(1500)]
    rows += [row(BillingAccountId="", **OCTOBER)] * 2
    import_files([write_csv(path, rows)], source)
    assert import_files([path], source).unchanged == 1502
    again = import_files([write_csv(path, [*rows[1200:1501], row(ListCost="7")])], source)
    assert (again.inserted, again.unchanged, again.removed) == (1, 301, 1201)
    assert source.count_documents({}) == 302
    assert source.find_one({"BilledCost": {"$exists": True}, "ListCost": {"$ne": None}})
    assert {index["name"] for index in source.list_indexes()} == {"_id_", "import_partition"}
    stored = source.find_one({"BillingAccountId": "acc-1", "Tags": {"$exists": True}})
    assert stored
    assert stored["Tags"] == {"a.b": "1", "$c": "2", " d": True, "": "4"}
