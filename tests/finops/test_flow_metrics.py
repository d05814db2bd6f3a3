"""What Prometheus and alarms see of flows: looked up when they ask, and never better than it is."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from prometheus_client import CollectorRegistry

from finops.metrics import FlowMetrics
from replication.models import Connection, Flow
from replication.mongo import close_clients
from replication.spec import StreamId
from replication.status import FlowState, FlowStatus, Namespace, StreamStatus, stuck_streams
from replication.steering import note_failure, pause
from tests.conftest import free_port
from tests.finops.flows import STREAMING
from tests.replication.rows import new_connection


def stream(collection: str = "rows", **fields: Any) -> StreamStatus:
    here, there = (Namespace(each, "cost", collection) for each in ("source", "destination"))
    return StreamStatus(here, there, fields.pop("state", FlowState.STREAMING), **fields)


def behind(seconds: float) -> Mapping[str, Any]:
    moment = datetime.now(UTC) - timedelta(seconds=seconds)
    return {"position_at": moment, "lag_seconds": seconds}


def flow(name: str, *streams: StreamStatus, **fields: Any) -> FlowStatus:
    return replace(STREAMING, name=name, streams=streams, **fields)


def shown(*statuses: FlowStatus) -> Mapping[str, float]:
    """The samples by their names and labels."""
    registry = CollectorRegistry()
    registry.register(FlowMetrics(lambda: statuses))
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for metric in registry.collect()
        for sample in metric.samples
    }


def test_each_collection_has_its_lag_and_progress() -> None:
    copying = stream("days", state=FlowState.SNAPSHOT, copying=True, snapshot_total=4)
    found = shown(flow("a", stream(**behind(3)), replace(copying, snapshot_copied=1)))
    assert 3 <= found["replicator_flow_lag_seconds['a', 'rows']"] < 60
    assert "replicator_flow_lag_seconds['a', 'days']" not in found
    assert found["replicator_snapshot_progress_ratio['a', 'days']"] == 0.25
    assert found["replicator_flow_stuck['a']"] == 0


def test_a_lag_goes_on_growing_while_the_destination_does_not_answer() -> None:
    shown(flow("b", stream(**behind(700))))
    unseen = flow("b", unseen="The destination 'there' does not answer.")
    found = shown(unseen)
    assert found["replicator_flow_lag_seconds['b', 'rows']"] >= 700
    assert found["replicator_flow_stuck['b']"] == 1
    assert "replicator_flow_dead_letters['b']" not in found
    assert "replicator_flow_lag_seconds['b', 'rows']" not in shown(flow("b", stream("days")))


def test_dead_letters_are_counted_and_a_paused_flow_has_no_lag() -> None:
    found = shown(flow("c", stream(**behind(3)), dead_letters=7, enabled=False))
    assert found["replicator_flow_dead_letters['c']"] == 7
    assert "replicator_flow_lag_seconds['c', 'rows']" not in found


@pytest.mark.parametrize(
    ("lag", "fields", "reason"),
    [
        (3, {}, None),
        (3, {"error": "AutoReconnect"}, None),
        (3, {"state": FlowState.WAITING}, None),
        (1200, {}, "0:20:00 behind"),
        (1200, {"error": "AutoReconnect"}, "0:20:00 behind; AutoReconnect"),
        (3, {"state": FlowState.FAILED, "error": "Poison: 121"}, "failed: Poison: 121"),
        (None, {"state": FlowState.WAITING}, "nobody works on it"),
        (None, {"state": FlowState.SNAPSHOT}, None),
        (
            None,
            {"state": FlowState.SNAPSHOT, "error": "AutoReconnect"},
            "in trouble: AutoReconnect",
        ),
    ],
    ids=str,
)
def test_what_counts_as_stuck(
    lag: float | None, fields: Mapping[str, Any], reason: str | None
) -> None:
    seen = stream(**(behind(lag) if lag else {}), **fields)
    expected = [] if reason is None else [f"flow, rows: {reason}"]
    assert [str(stuck) for stuck in stuck_streams(flow("flow", seen))] == expected
    assert list(stuck_streams(flow("flow", seen, enabled=False))) == []


@pytest.fixture
def row(mongo_server: str) -> Iterator[Flow]:
    here = new_connection("here", mongo_server)
    yield Flow.objects.create(
        name="costs",
        source=here,
        source_database="health-from",
        collection="rows, days",
        destination=here,
        destination_database="health-to",
        destination_collection="{collection}",
    )
    close_clients()


@pytest.mark.django_db(transaction=True)
def test_the_health_of_flows_names_those_that_are_stuck(client: Client, row: Flow) -> None:
    note_failure(StreamId(row.id, "days"), "Poison: 121")
    answer = client.get("/healthz/flows")
    assert answer.status_code == 503
    assert answer.content.decode().splitlines() == [
        "costs, rows: nobody works on it",
        "costs, days: failed: Poison: 121",
    ]
    Connection.objects.update(uri=f"mongodb://127.0.0.1:{free_port()}/")
    told = client.get("/healthz/flows").content.decode()
    assert "costs: The destination 'here' does not answer." in told
    pause(Flow.objects.all())
    answer = client.get("/healthz/flows")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


@pytest.mark.django_db
def test_the_health_of_flows_is_told_to_watchers_only(client: Client) -> None:
    assert client.get("/healthz/flows", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404
