"""What a worker counts of the flows that it works on."""

from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from tests.replication.running import Flow, running
from tests.waiting import wait_until

Counted = Callable[..., float]
NAMES = ("flow_events", "flow_bytes", "flow_batches", "flow_lease_changes")


def count_of(name: str, **more: str) -> float:
    labels = {"flow": "costs", "collection": "rows", **more}
    return REGISTRY.get_sample_value(f"replicator_{name}_total", labels) or 0.0


@pytest.fixture
def counted() -> Counted:
    """How much a counter of the stream has grown since the test began."""
    before = {name: count_of(name) for name in NAMES}
    return lambda name: count_of(name) - before[name]


def test_changes_bytes_and_owners_are_counted(flow: Flow, counted: Counted) -> None:
    flow.source.insert_many([{"_id": number} for number in range(5)])
    with running(flow):
        flow.wait_until_consistent()
        flow.source.insert_many([{"_id": f"n{number}", "text": "x" * 100} for number in range(7)])
        flow.wait_for_events(7)
    assert counted("flow_events") == 7
    assert 7 * 100 < counted("flow_bytes") < 7 * 300
    assert 1 <= counted("flow_batches") <= 7
    assert counted("flow_lease_changes") == 1


def test_a_failed_attempt_is_counted_by_its_reason(flow: Flow) -> None:
    before = count_of("flow_retries", reason="conflict")
    failure = {"configureFailPoint": "failCommand", "mode": {"times": 1}}
    data = {"failCommands": ["commitTransaction"], "errorCode": 112}
    admin = flow.clients["destination"].admin
    flow.source.insert_one({"_id": 1})
    with running(flow):
        flow.wait_until_consistent()
        admin.command({**failure, "data": data})
        flow.source.insert_one({"_id": 2})
        flow.wait_for_events(1)
    wait_until(lambda: count_of("flow_retries", reason="conflict") > before)
