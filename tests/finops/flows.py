"""States of replication flows, as replication would report them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from replication.status import FlowState, FlowStatus, Namespace, UnknownFlow

STREAMING = FlowStatus(
    id=UUID(int=1),
    name="flow",
    enabled=True,
    state=FlowState.STREAMING,
    source=Namespace("source", "cost", "charges"),
    destination=Namespace("destination", "cost", "charges"),
    partition_fields=("ChargePeriodStart",),
    events=12,
    last_event_at=None,
    position_at=None,
    consistent_since=datetime(2026, 10, 1, tzinfo=UTC),
    lag_seconds=None,
    copying=False,
    snapshot_copied=50_000,
    snapshot_total=50_000,
    waiting_since=None,
    error=None,
)


def status(
    state: FlowState = FlowState.STREAMING,
    *,
    behind: timedelta | None = timedelta(seconds=3),
    copied: int | None = None,
    error: str | None = None,
    waiting: timedelta | None = None,
) -> FlowStatus:
    now = datetime.now(UTC)
    return replace(
        STREAMING,
        state=state,
        position_at=None if behind is None else now - behind,
        snapshot_copied=copied,
        waiting_since=None if waiting is None else now - waiting,
        error=error,
    )


class FakeFlow:
    """Stands for ``replication.status.flow_status``; counts how often it is asked."""

    def __init__(self, answer: FlowStatus | Exception | None = None) -> None:
        self.answer = answer
        self.asked = 0

    def __call__(self, name: str) -> FlowStatus:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is None:
            raise UnknownFlow(f"There is no flow {name!r}.")
        return self.answer
