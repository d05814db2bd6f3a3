"""The supervisor finds the flows that nobody works on, and a slice records how it ended."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from bson import Binary
from pymongo import MongoClient
from pytest_django import Settings

from replication import tasks
from replication.lease import Leases
from replication.models import Flow as FlowRow
from replication.mongo import close_clients
from replication.position import control_database
from replication.spec import StreamId
from replication.steering import note_failure
from replication.tasks import run_stream_slice, supervise
from replication.warm_stop import SharedFlag
from tests.conftest import free_port
from tests.replication.rows import new_connection, row_of
from tests.replication.running import Document, Flow, raw

# Other threads look at the rows too.
pytestmark = pytest.mark.django_db(transaction=True)


Message = tuple[str, str]  # a flow's id and a collection


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """The streams that slices were enqueued for; no broker is needed."""
    messages: list[Message] = []

    def remember(arguments: Message, **_options: Any) -> None:
        messages.append(arguments)

    monkeypatch.setattr(run_stream_slice, "apply_async", remember)
    monkeypatch.setattr(tasks, "room_in", lambda _queue, *, most: most - 62)
    return messages


@pytest.fixture
def row(flow: Flow, mongo_server: str) -> Iterator[FlowRow]:
    yield row_of(flow, mongo_server)
    close_clients()


@pytest.fixture
def another(row: FlowRow) -> Callable[..., FlowRow]:
    """Make flows like the first one, to other collections."""

    def make(name: str, **fields: Any) -> FlowRow:
        values = {
            "source": row.source,
            "source_database": "other",
            "collection": name,
            "destination": row.destination,
            "destination_database": "other",
            "destination_collection": name,
        }
        return FlowRow.objects.create(name=name, **{**values, **fields})

    return make


def test_only_flows_that_nobody_works_on_are_enqueued(
    row: FlowRow,
    another: Callable[..., FlowRow],
    enqueued: list[Message],
    mongo: MongoClient[Document],
) -> None:
    another("paused", enabled=False)
    failed = another("failed")
    note_failure(StreamId(failed.id, "failed"), "Poison: 121")
    dead = new_connection("dead", f"mongodb://127.0.0.1:{free_port()}/")
    another("unreachable", destination=dead)
    broken = new_connection("broken", "mongodb://localhost/", auth_method="entra")
    another("misconfigured", destination=broken)
    worked_on = another("worked-on")
    leases = Leases(control_database(mongo), lifetime=timedelta(seconds=30))
    leases.acquire(
        worked_on.key_of("worked-on"), worked_on.id, session=Binary(b"x" * 16, 4), seed=0
    )
    began = time.monotonic()
    supervise()
    assert enqueued == [(str(row.id), "rows")]
    assert time.monotonic() - began < 3


def test_no_more_is_enqueued_than_the_queue_has_room_for(
    row: FlowRow, another: Callable[..., FlowRow], enqueued: list[Message]
) -> None:
    another("many", collection="one, two, three", destination_collection="{collection}")
    supervise()
    assert len(enqueued) == 2
    assert len(set(enqueued)) == 2


def test_a_slice_works_for_its_time_and_enqueues_the_next(
    row: FlowRow, flow: Flow, enqueued: list[Message], settings: Settings
) -> None:
    settings.REPLICATION_SLICE = timedelta(seconds=1)
    flow.source.insert_many([{"_id": n} for n in range(5)])
    run_stream_slice(str(row.id), "rows")
    assert raw(flow.copy) == raw(flow.source)
    assert enqueued == [(str(row.id), "rows")]


def test_a_flow_that_cannot_work_stops_and_says_why(row: FlowRow, enqueued: list[Message]) -> None:
    row.source.auth_method = "entra"
    row.source.tenant_id = "contoso"
    row.source.save()
    run_stream_slice(str(row.id), "rows")
    failure = row.failures.get()
    assert failure.collection == "rows"
    assert failure.error.startswith("Configuration: tenant_id is 'contoso'")
    run_stream_slice(str(row.id), "rows")
    assert enqueued == []


def test_a_stop_is_seen_by_whoever_shares_the_flag() -> None:
    flag = SharedFlag()
    assert not flag.is_set()
    flag.set()
    assert flag.is_set()
