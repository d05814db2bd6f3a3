"""What a worker counts of the flows that it works on."""

from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from tests.replication.running import Flow, running

Counted = Callable[..., float]


@pytest.fixture
def counted() -> Counted:
    """How much a counter of the stream has grown since the test began."""
    labels = {"flow": "costs", "collection": "rows"}

    def value(name: str, **more: str) -> float:
        return REGISTRY.get_sample_value(f"replicator_{name}_total", {**labels, **more}) or 0.0

    names = ("flow_events", "flow_bytes", "flow_batches", "flow_lease_changes")
    before = {name: value(name) for name in names}
    return lambda name, **more: value(name, **more) - before.get(name, 0.0)


def test_changes_bytes_and_owners_are_counted(flow: Flow, counted: Counted) -> None:
    flow.source.insert_many([{"_id": number} for number in range(5)])
    with running(flow):
        flow.wait_until_consistent()
        flow.source.insert_many(
            [{"_id": f"new-{number}", "text": "x" * 100} for number in range(7)]
        )
        flow.wait_for_events(7)
    assert counted("flow_events") == 7
    assert 7 * 100 < counted("flow_bytes") < 7 * 300
    assert 1 <= counted("flow_batches") <= 7
    assert counted("flow_lease_changes") == 1
