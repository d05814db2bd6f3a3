"""Documents, segments and manifests are compared to the last digit, and the exit code says how."""

import io
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from django.core.management import call_command
from django.core.management.base import CommandError
from pymongo import MongoClient

from finops.costs.metrics import Metric
from finops.models import Reconciliation
from finops.reconciliation import Verdict, reconcile
from finops.segments.documents import destination_of
from finops.tasks import reconcile_datasets
from replication.models import Connection
from replication.mongo import close_clients
from tests.finops import oracle
from tests.finops.arriving import Arriving
from tests.finops.cost_documents import aware
from tests.finops.focus_rows import SAMPLE, row, write_csv

pytestmark = pytest.mark.django_db
SEPTEMBER = date(2026, 9, 1)


@pytest.fixture
def costs(mongo_server: str) -> Iterator[Arriving]:
    with MongoClient[dict[str, Any]](mongo_server) as server:
        yield Arriving.create(mongo_server, server)
    close_clients()


def run(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("reconcile", *arguments, stdout=out)
    except CommandError as error:
        return error.returncode, f"{out.getvalue()}{error}"
    return 0, out.getvalue()


def arrived(costs: Arriving, path: Path) -> None:
    costs.run_import(path)
    costs.replicate()
    costs.publish()


def test_the_official_sample_agrees_everywhere(costs: Arriving) -> None:
    arrived(costs, SAMPLE)
    october, september = reconcile(costs.dataset, destination_of(costs.dataset))
    assert (october.month, september.month) == (date(2024, 10, 1), date(2024, 9, 1))
    rows = oracle.rows(SAMPLE)
    for metric in Metric:
        expected = oracle.total(rows, metric.focus_column, "USD").amount
        for side in ("documents", "segments", "manifest"):
            held = [getattr(line, side) for line in (october, september)]
            assert sum(one.sums[metric] for one in held) == expected
            assert [one.rows for one in held] == [1, 999]
    assert {october.verdict, september.verdict} == {Verdict.AGREES}
    code, said = run()
    assert code == 0
    assert "2024-09    USD       agrees   segments   999" in said
    assert Reconciliation.objects.get().agrees


def test_a_difference_is_an_exit_code_and_shows_every_side(costs: Arriving, tmp_path: Path) -> None:
    arrived(costs, write_csv(tmp_path / "a.csv", [row(), row(BilledCost="2")]))
    # Beside replication, so that no mark tells of it.
    costs.copy.update_one(
        {"BilledCost": Decimal128("2")}, {"$set": {"BilledCost": Decimal128("2.00000000000000001")}}
    )
    code, said = run("--dataset", "costs")
    assert code == 1
    assert "differs" in said
    assert "3.50000000000000001" in said
    reconcile_datasets()
    assert not Reconciliation.objects.get().agrees


def test_what_was_changed_at_the_source_since_its_import_differs_from_the_manifest(
    costs: Arriving, tmp_path: Path
) -> None:
    arrived(costs, write_csv(tmp_path / "a.csv", [row(), row(BilledCost="2")]))
    costs.source.delete_one({})
    costs.replicate()
    costs.publish()
    (line,) = reconcile(costs.dataset, destination_of(costs.dataset))
    assert line.verdict is Verdict.DIFFERS
    assert line.documents == line.segments
    assert line.manifest is not None
    assert (line.manifest.rows, line.documents.rows) == (2, 1)


def test_an_import_that_has_not_arrived_is_no_difference(costs: Arriving, tmp_path: Path) -> None:
    costs.run_import(write_csv(tmp_path / "a.csv", [row(), row(BilledCost="2")]))
    costs.replicate(at_most=1)
    costs.publish()
    assert run()[0] == 3
    costs.source.delete_one({"_id": costs.copy.find_one({})["_id"]})  # type: ignore[index]
    costs.replicate()
    assert costs.publish() == {}
    code, said = run("--accept", "2026-09")
    assert "what has arrived is published within seconds" in said
    assert code == 1  # the segments come with the next look
    costs.publish()
    (line,) = reconcile(costs.dataset, destination_of(costs.dataset))
    assert line.documents == line.segments
    assert run("--accept", "2026-09")[0] == 2
    assert run("--accept", "September") == (
        2,
        "--accept September: expected a month such as 2026-09.",
    )


def test_rows_that_no_import_wrote_count_as_the_segments_take_them(costs: Arriving) -> None:
    base = {
        "BillingCurrency": "EUR",
        "ChargePeriodStart": aware(SEPTEMBER),
        "BilledCost": Decimal128("0.1234567890123456785"),
        "ListCost": 0.1,
        "ContractedCost": "12",
    }
    costs.copy.insert_many([{"_id": "a", **base}, {"_id": "b", **base, "ListCost": "dear"}])
    call_command("rebuild_segments", stdout=io.StringIO())
    (line,) = reconcile(costs.dataset, destination_of(costs.dataset))
    assert (line.month, line.manifest, line.verdict) == (None, None, Verdict.AGREES)
    assert line.documents.sums[Metric.LIST] == line.segments.sums[Metric.LIST] == Decimal("0.1")
    assert line.documents.sums[Metric.CONTRACTED] == 24


def test_what_cannot_be_compared_is_said(costs: Arriving) -> None:
    assert run("--dataset", "other") == (2, "There is no data set 'other'; there are: costs.")
    Connection.objects.update(
        uri="mongodb://127.0.0.1:1/?directConnection=true&serverSelectionTimeoutMS=50"
    )
    code, said = run()
    assert code == 2
    assert "Do both clusters answer?" in said


def test_nothing_anywhere_agrees(costs: Arriving) -> None:
    assert run() == (0, "Data set costs\nNo rows anywhere.\n")
