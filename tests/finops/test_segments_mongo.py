"""From a real server's documents and marks to the overview."""

import uuid
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pymongo import MongoClient
from pymongo.database import Database
from structlog.testing import capture_logs

from accounts.scopes import ALL
from finops.costs.metrics import Metric
from finops.costs.overview import NoCostData, Overview, load_overview
from finops.costs.periods import DAY, Period
from finops.models import Dataset, Segment
from finops.segments.documents import destination_of
from finops.tasks import build_touched_segments
from replication.models import Connection, Flow
from replication.mongo import close_clients
from replication.preparing import prepare_copy
from tests.finops.cost_documents import aware, charge, document

pytestmark = pytest.mark.django_db
FIRST, SECOND = date(2026, 9, 29), date(2026, 10, 2)
Cluster = MongoClient[dict[str, Any]]


@pytest.fixture
def cluster(mongo_server: str) -> Iterator[Cluster]:
    with MongoClient[dict[str, Any]](mongo_server) as client:
        yield client


@pytest.fixture
def flow(mongo_server: str) -> Iterator[Flow]:
    connection = Connection.objects.create(
        name="copy", uri=mongo_server, auth_method="connection_string"
    )
    name = f"segments_{uuid.uuid4().hex[:8]}"
    yield Flow.objects.create(
        name="costs",
        source=connection,
        source_database=f"{name}_source",
        collection="charges",
        destination=connection,
        destination_database=name,
        destination_collection="charges",
        partition_fields=["ChargePeriodStart"],
    )
    close_clients()


@pytest.fixture
def dataset(flow: Flow) -> Dataset:
    return Dataset.objects.create(name="costs", flow=flow.name)


@pytest.fixture
def copy(cluster: Cluster, flow: Flow) -> Iterator[Database[dict[str, Any]]]:
    database = cluster[flow.destination_database]
    database["charges"].insert_many(
        [
            document("a", charge(FIRST, "1.000000000000000001")),
            document("b", charge(FIRST, "2", ChargePeriodStart=f"{FIRST} 23:59:59")),
            document("c", charge(SECOND, "4", ChargePeriodStart=f"{SECOND} 00:00:00")),
        ]
    )
    yield database
    cluster.drop_database(flow.destination_database)


def touch(cluster: Cluster, flow: Flow, *days: date) -> None:
    partitions = [{"ChargePeriodStart": aware(day)} for day in days]
    cluster["replication"]["marks"].insert_one({"flow": str(flow.id), "partitions": partitions})


def overview(dataset: Dataset) -> Overview:
    dataset.refresh_from_db()
    return load_overview(dataset=dataset, scope=ALL, currency=None, metric=Metric.BILLED)


def test_touched_days_reach_the_overview_exactly_and_their_marks_go(
    cluster: Cluster, flow: Flow, dataset: Dataset, copy: Database[dict[str, Any]]
) -> None:
    touch(cluster, flow, FIRST, SECOND)
    build_touched_segments()
    (compute,) = overview(dataset).services
    assert compute.trend == (Decimal("3.000000000000000001"), *[Decimal(0)] * 2, Decimal(4))
    assert cluster["replication"]["marks"].count_documents({"flow": str(flow.id)}) == 0


def test_changes_moves_and_deletions_follow(
    cluster: Cluster, flow: Flow, dataset: Dataset, copy: Database[dict[str, Any]]
) -> None:
    touch(cluster, flow, FIRST, SECOND)
    build_touched_segments()
    copy["charges"].replace_one({"_id": "c"}, document("c", charge(FIRST + DAY, "8")))
    copy["charges"].delete_many({"_id": {"$in": ["a", "b"]}})
    touch(cluster, flow, FIRST, SECOND, FIRST + DAY)
    build_touched_segments()
    assert overview(dataset).anchor == FIRST + DAY
    assert [row.trend for row in overview(dataset).services] == [(Decimal(8),)]
    copy["charges"].delete_many({})
    touch(cluster, flow, FIRST + DAY)
    build_touched_segments()
    with pytest.raises(NoCostData):
        overview(dataset)


def test_nothing_is_published_before_a_snapshot_is_whole(
    cluster: Cluster, flow: Flow, dataset: Dataset, copy: Database[dict[str, Any]]
) -> None:
    positions = cluster["replication"]["positions"]
    key = flow.key_of(flow.collection)
    known = {"_id": key, "flow": str(flow.id), "epoch": 1, "batch": 1}
    positions.insert_one({**known, "phase": "snapshot"})
    touch(cluster, flow, FIRST, SECOND)
    build_touched_segments()
    with pytest.raises(NoCostData):
        overview(dataset)
    positions.update_one({"_id": key}, {"$set": {"phase": "stream"}})
    build_touched_segments()
    assert overview(dataset).anchor == SECOND


@pytest.mark.parametrize(("name", "count"), [("costs", 2), ("another", 0)])
def test_a_copy_begins_with_the_indexes_of_its_readers(
    cluster: Cluster, flow: Flow, dataset: Dataset, name: str, count: int
) -> None:
    destination = flow.destination_of(flow.collection)
    with capture_logs() as logs:
        prepare_copy(name, destination)
    assert logs == []
    indexes = cluster[destination.database][destination.collection].list_indexes()
    assert len([index for index in indexes if index["name"] != "_id_"]) == count
    cluster.drop_database(destination.database)


def test_the_copy_is_read_by_an_index(dataset: Dataset, copy: Database[dict[str, Any]]) -> None:
    source = destination_of(dataset)
    assert any("ChargePeriodStart" in one["key"] for one in copy["charges"].list_indexes())
    assert {one["_id"] for one in source.documents(Period(FIRST, FIRST + DAY))} == {"a", "b"}
    assert source.bounds() == Period(FIRST, SECOND + DAY)


def test_a_full_rebuild_needs_no_marks(dataset: Dataset, copy: Database[dict[str, Any]]) -> None:
    out = StringIO()
    call_command("rebuild_segments", "--dataset", "costs", stdout=out)
    assert out.getvalue() == "costs: 4 days, version 2.\n"
    assert overview(dataset).rows == 3
    copy["charges"].delete_one({"_id": "c"})
    call_command("rebuild_segments", stdout=out)
    assert list(Segment.objects.filter(rows__gt=0).values_list("day", flat=True)) == [FIRST]


def test_the_command_says_what_there_is(dataset: Dataset) -> None:
    with pytest.raises(CommandError, match="no data set 'other'; there are: costs"):
        call_command("rebuild_segments", "--dataset", "other")


def test_the_command_warns_of_a_flow_that_marks_no_days(
    flow: Flow, dataset: Dataset, copy: Database[dict[str, Any]]
) -> None:
    Flow.objects.update(partition_fields=[])
    err = StringIO()
    call_command("rebuild_segments", stdout=StringIO(), stderr=err)
    assert "add 'ChargePeriodStart' to its partition fields" in err.getvalue()
