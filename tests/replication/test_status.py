"""What the rest of the product sees of a flow: its state, its lag, its marks."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pymongo import MongoClient

from replication.models import Flow as FlowRow
from replication.mongo import close_clients
from replication.spec import StreamId
from replication.status import (
    FlowState,
    FlowStatus,
    UnknownFlow,
    clear_marks,
    flow_names,
    flow_status,
    touched_partitions,
)
from replication.steering import note_failure, pause, resume
from tests.conftest import free_port
from tests.replication.rows import row_of
from tests.replication.running import Document, Flow, running
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def flow(mongo: MongoClient[Document]) -> Flow:
    return Flow(mongo, mongo, partition_fields=("Day", "Account"))


@pytest.fixture
def row(flow: Flow, mongo_server: str) -> Iterator[FlowRow]:
    yield row_of(flow, mongo_server)
    close_clients()


def wait_for_state(state: FlowState) -> FlowStatus:
    wait_until(lambda: flow_status("costs").state is state, what=f"the flow is {state}")
    return flow_status("costs")


def test_a_flow_that_nobody_has_started_is_waiting(row: FlowRow) -> None:
    status = flow_status("costs")
    assert flow_names() == ["costs"]
    assert (status.state, status.events, status.lag_seconds) == (FlowState.WAITING, 0, None)
    assert (status.id, status.partition_fields) == (row.id, ("Day", "Account"))
    assert status.error is None


def test_a_running_flow_tells_how_far_it_is(row: FlowRow, flow: Flow) -> None:
    flow.source.insert_many([{"_id": n} for n in range(30)])
    with running(flow):
        flow.wait_until_consistent()
        flow.source.insert_one({"_id": "new"})
        flow.wait_for_events(1)
        status = wait_for_state(FlowState.STREAMING)
        assert (status.snapshot_copied, status.snapshot_total, status.events) == (30, 30, 1)
        assert status.consistent_since is not None
        assert status.last_event_at is not None
        assert (datetime.now(UTC) - status.last_event_at).total_seconds() < 60
        wait_until(
            lambda: (flow_status("costs").lag_seconds or 9) < 1.5, what="an idle flow lags little"
        )
    assert flow_status("costs").state is FlowState.WAITING


def test_a_paused_or_failed_flow_says_so(row: FlowRow) -> None:
    note_failure(StreamId(row.id, "rows"), "Poison: 121")
    assert (flow_status("costs").state, flow_status("costs").error) == (
        FlowState.FAILED,
        "Poison: 121",
    )
    resume(FlowRow.objects.all())
    assert flow_status("costs").state is FlowState.WAITING
    pause(FlowRow.objects.all())
    assert flow_status("costs").state is FlowState.DISABLED


def test_a_dead_cluster_gives_a_status_within_two_seconds(row: FlowRow) -> None:
    row.destination.uri = f"mongodb://127.0.0.1:{free_port()}/"
    row.destination.save()
    began = time.monotonic()
    status = flow_status("costs")
    assert time.monotonic() - began < 2
    assert status.state is FlowState.WAITING
    assert status.error is not None
    assert "destination" in status.error


def test_marks_are_read_oldest_first_and_removed_exactly(row: FlowRow, flow: Flow) -> None:
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    flow.source.insert_one({"_id": 1, "Day": first, "Account": "a"})
    with running(flow):
        flow.wait_until_consistent()
        old = touched_partitions("costs")
        assert [mark.partitions for mark in old] == [({"Day": first, "Account": "a"},)]
        flow.source.update_one({"_id": 1}, {"$set": {"Day": second}})
        flow.wait_for_events(1)
    since = flow_status("costs").waiting_since
    assert since == old[0].id.generation_time
    assert clear_marks("costs", old) == 1
    (new,) = touched_partitions("costs")
    assert {"Day": first, "Account": "a"} in new.partitions
    assert {"Day": second, "Account": "a"} in new.partitions
    assert clear_marks("costs", old) == 0
    assert touched_partitions("costs", limit=1) == [new]
    assert touched_partitions("costs", after=new) == []


def test_an_unknown_flow_is_named(db: None) -> None:
    for call in (flow_status, touched_partitions):
        with pytest.raises(UnknownFlow, match="'no-flow'"):
            call("no-flow")
