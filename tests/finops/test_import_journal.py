"""An import tells of each month before it changes it, and what the month holds when whole."""

import gzip
import uuid
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from finops.importing.errors import LoadingError, UnreadableFileError
from finops.importing.identity import Identities
from finops.importing.journal import (
    ImportState,
    Journal,
    Manifest,
    history_of,
    manifests_of,
)
from finops.importing.loading import Loader, Partition
from finops.importing.run import import_files
from finops.importing.summary import ImportSummary
from finops.importing.sums import Totals
from replication.models import Connection
from replication.mongo import close_clients, database
from replication.status import Namespace
from tests.finops.focus_rows import MemoryCollection, row, write_csv

pytestmark = pytest.mark.django_db
SEPTEMBER = date(2026, 9, 1)


@pytest.fixture
def source(mongo_server: str) -> Iterator[Namespace]:
    Connection.objects.create(name="source", uri=mongo_server, auth_method="connection_string")
    yield Namespace("source", f"journal_{uuid.uuid4().hex[:8]}", "focus")
    close_clients()


def run(source: Namespace, path: Path, **options: Any) -> ImportSummary:
    collection = database(source.connection, source.database)[source.collection]
    return import_files([path], collection, Journal(source), **options)


def only(source: Namespace) -> Manifest:
    (manifest,) = manifests_of(source)
    return manifest


def test_a_month_that_is_whole_says_what_it_holds(source: Namespace, tmp_path: Path) -> None:
    rows = [row(), row(BillingCurrency="U.S", ListCost=""), row(BilledCost="-0.25", ListCost="x")]
    rows[1]["BillingCurrency"] = "USD"
    rows[2]["ChargePeriodStart"] = "2026-08-31T23:00:00Z"
    run(source, write_csv(tmp_path / "a.csv", rows))
    manifest = only(source)
    assert (manifest.state, manifest.rows) == (ImportState.COMPLETE, 3)
    assert manifest.billing_account == "acc-1"
    assert manifest.billing_period == datetime(2026, 9, 1, tzinfo=UTC)
    assert manifest.days == {date(2026, 9, 2), date(2026, 8, 31)}
    assert manifest.totals["EUR"]["rows"] == 2
    assert manifest.totals["EUR"]["billed"] == {"sum": "1.25", "missing": 0}
    assert manifest.totals["EUR"]["list"] == {"sum": "2", "missing": 1}
    assert manifest.totals["USD"]["list"] == {"sum": "0", "missing": 1}


def test_an_unchanged_month_keeps_its_manifest(source: Namespace, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [row(), row()])
    run(source, path)
    before = only(source)
    run(source, path)
    assert only(source) == before
    assert len(history_of(source)) == 2


def test_a_checksum_tells_rows_of_equal_cost_apart(source: Namespace, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [row()])
    run(source, path)
    before = only(source)
    run(source, write_csv(path, [row(ServiceName="Disks")]))
    after = only(source)
    assert after.run != before.run
    assert after.totals["EUR"].pop("checksum") != before.totals["EUR"].pop("checksum")
    assert after.totals == before.totals


def test_days_are_never_forgotten(source: Namespace, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [row()])
    run(source, path)
    moved = row(ChargePeriodStart="2026-09-20T00:00:00Z", ChargePeriodEnd="2026-09-21T00:00:00Z")
    run(source, write_csv(path, [moved]))
    assert only(source).days == {date(2026, 9, 2), date(2026, 9, 20)}


def test_rows_that_are_kept_count_too(source: Namespace, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [row(), row(BilledCost="2")])
    run(source, path)
    run(source, write_csv(path, [row(BilledCost="3")]), keep_missing=True)
    assert only(source).totals["EUR"]["billed"]["sum"] == "6.5"


def test_an_import_that_fails_leaves_its_month_open_and_the_next_one_closes_it(
    source: Namespace, tmp_path: Path
) -> None:
    rows = [row(BilledCost=str(i)) for i in range(1500)]
    path = write_csv(tmp_path / "a.csv", rows)
    whole = path.read_bytes()
    path.write_bytes(gzip.compress(whole)[:-50])
    with pytest.raises(UnreadableFileError):
        run(source, path)
    assert only(source).state is ImportState.IMPORTING
    assert history_of(source)[0].state is ImportState.FAILED
    path.write_bytes(whole)
    assert run(source, path).inserted == 500
    assert (only(source).state, only(source).rows) == (ImportState.COMPLETE, 1500)
    # Killed between its last row and its last word: the next import finds nothing to write.
    manifests = database(source.connection, source.database)["focus_manifests"]
    manifests.update_one({}, {"$set": {"state": "importing", "run": "killed"}})
    assert run(source, path).inserted == 0
    assert (only(source).state, only(source).rows) == (ImportState.COMPLETE, 1500)


def test_the_history_has_counts_and_defects(source: Namespace, tmp_path: Path) -> None:
    run(source, write_csv(tmp_path / "a.csv", [row(ListCost="dear"), row(BilledCost="x")]))
    (record,) = history_of(source)
    assert (record.state, record.files) == (ImportState.COMPLETE, ["a.csv"])
    assert record.outcome["set_aside"] == 1
    assert record.ended_at is not None
    assert record.ended_at >= record.started_at
    assert {
        "rule": "NOT_A_NUMBER",
        "column": "ListCost",
        "rows": 1,
        "lines": [{"file": "a.csv", "line": 2}],
        "cells": ["dear"],
    } in record.defects


def test_the_first_of_two_imports_of_a_month_gives_way(source: Namespace) -> None:
    partition = Partition("acc-1", datetime(2026, 9, 1, tzinfo=UTC))
    first, second = Journal(source), Journal(source)
    first.begin(partition, {SEPTEMBER})
    second.begin(partition, {SEPTEMBER})
    with pytest.raises(LoadingError, match="Another import of 2026-09 has begun"):
        first.complete(partition, {}, {SEPTEMBER})
    second.complete(partition, {}, {SEPTEMBER})
    assert (only(source).state, only(source).run) == (ImportState.COMPLETE, second.run)


class Announcements(MemoryCollection):
    """A collection that refuses what was not announced."""

    def __init__(self) -> None:
        super().__init__()
        self.announced: set[date] = set()
        self.whole = 0

    def begin(self, partition: Partition, days: Collection[date]) -> None:
        self.announced |= set(days)

    def complete(self, partition: Partition, totals: Totals, days: Collection[date]) -> None:
        assert sum(part["rows"] for part in totals.values()) == len(self.documents)
        self.whole += 1

    def insert_many(self, documents: Sequence[dict[str, Any]], ordered: bool = True) -> None:
        assert {one["ChargePeriodStart"].date() for one in documents} <= self.announced
        super().insert_many(documents, ordered)

    def delete_many(self, filter: Any) -> None:
        gone = [self.documents[key] for key in filter["_id"]["$in"]]
        assert {one["ChargePeriodStart"].date() for one in gone} <= self.announced
        super().delete_many(filter)


def test_nothing_changes_before_its_days_are_announced(tmp_path: Path) -> None:
    def document(day: int, cost: int) -> dict[str, Any]:
        return {
            "BillingAccountId": "a",
            "BillingCurrency": "EUR",
            "BillingPeriodStart": datetime(2026, 9, 1, tzinfo=UTC),
            "ChargePeriodStart": datetime(2026, 9, day, tzinfo=UTC),
            "x_Cost": cost,
        }

    collection = Announcements()
    for costs in ({1: 1, 2: 2}, {1: 1, 2: 3, 3: 3}, {3: 3}):
        loader, identities = Loader(collection, collection), Identities()
        collection.announced.clear()
        for day, cost in costs.items():
            made = document(day, cost)
            identities.assign(made)
            loader.write([made])
        loader.remove_missing()
        loader.complete()
    assert collection.whole == 3
    # The third import changed nothing of day 3, and said nothing before it removed the others.
    assert len(collection.documents) == 1


def test_a_long_account_has_a_short_id(source: Namespace, tmp_path: Path) -> None:
    accounts = ["a" * 3000 + end for end in "xy"]
    rows = [row(BillingAccountId=account) for account in accounts]
    run(source, write_csv(tmp_path / "a.csv", rows))
    found = manifests_of(source)
    assert sorted(str(one.billing_account) for one in found) == accounts
    assert max(len(one.id) for one in found) < 600
