"""All that the rest of the product may see and do with flows: their state and their marks."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

import pymongo
from pymongo.errors import PyMongoError

from replication.errors import ReplicationError, describe
from replication.lease import Leases, LeaseState
from replication.marks import Mark, Marks
from replication.models import Flow
from replication.mongo import client_for
from replication.position import MongoTracker, Phase, Position, control_database
from replication.spec import Namespace

__all__ = [
    "FlowState",
    "FlowStatus",
    "Mark",
    "Namespace",
    "ReplicationError",
    "UnknownFlow",
    "clear_marks",
    "flow_names",
    "flow_status",
    "touched_partitions",
]

_PATIENCE = 1.5  # seconds for a look at a cluster, so that a page with a dead one still renders


class UnknownFlow(ReplicationError):
    """No flow of that name exists."""


class FlowState(StrEnum):
    """What a flow is doing now."""

    DISABLED = "disabled"
    WAITING = "waiting"  # for a worker
    SNAPSHOT = "snapshot"
    STREAMING = "streaming"
    FAILED = "failed"  # until somebody resumes it


@dataclass(frozen=True)
class FlowStatus:
    """A flow as it is at this moment. Dates are aware (UTC)."""

    id: UUID
    name: str
    enabled: bool
    state: FlowState
    source: Namespace
    destination: Namespace
    partition_fields: tuple[str, ...]
    events: int  # change events applied
    last_event_at: datetime | None
    position_at: datetime | None  # the copy holds everything up to here
    consistent_since: datetime | None
    lag_seconds: float | None
    copying: bool  # a snapshot has begun and not ended: the copy is not whole
    snapshot_copied: int | None
    snapshot_total: int | None
    waiting_since: datetime | None  # when the oldest mark that nobody cleared yet was made
    error: str | None


def flow_names() -> list[str]:
    """Return the names of all flows in alphabetical order."""
    return list(Flow.objects.order_by("name").values_list("name", flat=True))


def flow_status(name: str) -> FlowStatus:
    """Look at a flow, within 2 seconds: a dead cluster gives a status with ``error`` set.

    Raises:
        UnknownFlow: no flow has that name.
    """
    return status_of(_flow(name))


def status_of(flow: Flow) -> FlowStatus:
    """Look at a flow whose row is at hand, as ``flow_status`` does."""
    spec = flow.spec()
    position: Position | None = None
    lease: LeaseState | None = None
    waiting_since: datetime | None = None
    error = flow.failure or None
    try:
        with pymongo.timeout(_PATIENCE):
            control = control_database(client_for(flow.destination.name))
            position = MongoTracker(control).load(spec.key)
            lease = Leases.seen_in(control).states([spec.key]).get(spec.key)
            waiting_since = Marks(control).oldest(str(flow.id))
    except (PyMongoError, ReplicationError) as failure:
        error = error or f"The destination {flow.destination.name!r}: {describe(failure)}"
    if lease is not None:
        error = error or lease.error
    position_at = _position_at(position, lease)
    lag = None if position_at is None else (datetime.now(UTC) - position_at).total_seconds()
    return FlowStatus(
        id=flow.id,
        name=flow.name,
        enabled=flow.enabled,
        state=_state(flow, position, lease),
        source=spec.source,
        destination=spec.destination,
        partition_fields=spec.partition_fields,
        events=position.events if position else 0,
        last_event_at=position.last_event_at if position else None,
        position_at=position_at,
        consistent_since=position.consistent_since if position else None,
        lag_seconds=None if lag is None else max(0.0, lag),
        copying=position is not None and position.phase is not Phase.STREAM,
        snapshot_copied=position.snapshot_copied if position else None,
        snapshot_total=position.snapshot_total if position else None,
        waiting_since=waiting_since,
        error=error,
    )


def touched_partitions(name: str, limit: int = 1000) -> list[Mark]:
    """Return at most ``limit`` marks of a flow, oldest first.

    Raises:
        UnknownFlow: no flow has that name.
        PyMongoError: the destination does not answer.
    """
    flow = _flow(name)
    return _marks(flow).read(str(flow.id), limit)


def clear_marks(name: str, marks: Iterable[Mark]) -> int:
    """Remove exactly these marks, and return how many were still there.

    Raises:
        UnknownFlow: no flow has that name.
        PyMongoError: the destination does not answer; some of the marks may be gone.
    """
    return _marks(_flow(name)).remove(marks)


def _flow(name: str) -> Flow:
    try:
        return Flow.objects.select_related("source", "destination").get(name=name)
    except Flow.DoesNotExist:
        raise UnknownFlow(
            f"There is no flow {name!r}: add it in the admin under Replication, Flows."
        ) from None


def _marks(flow: Flow) -> Marks:
    return Marks(control_database(client_for(flow.destination.name)))


def _state(flow: Flow, position: Position | None, lease: LeaseState | None) -> FlowState:
    if not flow.enabled:
        return FlowState.DISABLED
    if flow.failure:
        return FlowState.FAILED
    if position is None or lease is None or not lease.live:
        return FlowState.WAITING
    return FlowState.STREAMING if position.phase is Phase.STREAM else FlowState.SNAPSHOT


def _position_at(position: Position | None, lease: LeaseState | None) -> datetime | None:
    """An idle stream saves its position rarely, but reports with its lease that it is idle."""
    moments = [
        position.position_at if position else None,
        lease.caught_up_at if lease else None,
    ]
    return max((moment for moment in moments if moment is not None), default=None)
