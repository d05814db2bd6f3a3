"""All that the rest of the product may see and do with flows: their state and their marks."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import pymongo
from pymongo.errors import PyMongoError

from replication.discovery import collections_of, stored
from replication.errors import ReplicationError, describe
from replication.marks import Mark, Marks
from replication.models import Flow
from replication.mongo import client_for
from replication.position import control_database
from replication.records import Records, read_records
from replication.spec import Namespace
from replication.stream_status import FlowState, StreamStatus, stream_status

__all__ = [
    "FlowState",
    "FlowStatus",
    "Mark",
    "Namespace",
    "ReplicationError",
    "SeveralCollections",
    "StreamStatus",
    "UnknownFlow",
    "clear_marks",
    "destination_of",
    "flow_names",
    "flow_status",
    "source_of",
    "status_of",
    "touched_partitions",
]

_PATIENCE = 1.5  # seconds for a look at a cluster, so that a page with a dead one still renders
Known = TypeVar("Known")


class UnknownFlow(ReplicationError):
    """No flow of that name exists."""


class SeveralCollections(ReplicationError):
    """What was asked for is known of flows of one collection only."""


@dataclass(frozen=True)
class FlowStatus:
    """A flow as it is at this moment. Dates are aware (UTC).

    Of a flow of several collections the numbers are the sums, ``lag_seconds`` is that of the
    collection furthest behind, and the dates are those from which on all of them are so far.
    """

    id: UUID
    name: str
    enabled: bool
    state: FlowState
    source: Namespace  # of several collections: what the flow's scope says
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
    snapshot_left: timedelta | None = None
    skipped_at: datetime | None = None  # changes were left out then, and no snapshot since
    streams: tuple[StreamStatus, ...] = ()
    as_source: bool = True  # no filter and no rule makes the copy differ from its source

    @property
    def failed(self) -> int:
        """How many of the streams stand still until somebody resumes the flow."""
        return sum(stream.state is FlowState.FAILED for stream in self.streams)


def flow_names() -> list[str]:
    """Return the names of all flows in alphabetical order."""
    return list(Flow.objects.order_by("name").values_list("name", flat=True))


def flow_status(name: str) -> FlowStatus:
    """Look at a flow, within 2 seconds: a dead cluster gives a status with ``error`` set.

    Raises:
        UnknownFlow: no flow has that name.
    """
    return status_of(_flow(name))


def source_of(name: str) -> Namespace:
    """Return the one collection that a flow reads, without a look at any cluster.

    Raises:
        UnknownFlow: no flow has that name.
        SeveralCollections: it reads more than one.
    """
    flow = _flow(name)
    return flow.source_of(_single(flow))


def destination_of(name: str) -> Namespace:
    """Return the one collection that a flow writes; raises as ``source_of`` does."""
    flow = _flow(name)
    return flow.destination_of(_single(flow))


def status_of(flow: Flow) -> FlowStatus:
    """Look at a flow whose row is at hand, as ``flow_status`` does."""
    records = Records()
    waiting_since: datetime | None = None
    unseen: str | None = None
    try:
        with pymongo.timeout(_PATIENCE):
            records = read_records(flow.destination.name, [flow.id])
            waiting_since = _marks(flow).oldest(str(flow.id))
    except (PyMongoError, ReplicationError) as failure:
        unseen = f"The destination {flow.destination.name!r}: {describe(failure)}"
    streams = _streams(flow, records)
    return FlowStatus(
        id=flow.id,
        name=flow.name,
        enabled=flow.enabled,
        state=_state(flow, streams),
        source=flow.source_of(", ".join(flow.scope.items)),
        destination=replace(flow.destination_of(""), collection=", ".join(flow.copies.items)),
        partition_fields=tuple(flow.partition_fields),
        events=sum(stream.events for stream in streams),
        last_event_at=_known(max, (stream.last_event_at for stream in streams)),
        position_at=_of_all(min, [stream.position_at for stream in streams]),
        consistent_since=_of_all(max, [stream.consistent_since for stream in streams]),
        lag_seconds=_known(max, (stream.lag_seconds for stream in streams)),
        copying=any(stream.copying for stream in streams),
        snapshot_copied=_known(sum, (stream.snapshot_copied for stream in streams)),
        snapshot_total=_known(sum, (stream.snapshot_total for stream in streams)),
        waiting_since=waiting_since,
        error=_error(streams, unseen),
        snapshot_left=_known(max, (stream.snapshot_left for stream in streams)),
        skipped_at=_known(max, (stream.skipped_at for stream in streams)),
        streams=streams,
        as_source=not (flow.filter or flow.field_rules),
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


def _single(flow: Flow) -> str:
    single = flow.scope.single
    if single is None:
        raise SeveralCollections(
            f"The flow {flow.name!r} copies several collections ({flow.collection}): choose a flow"
            " of one collection."
        )
    return single


def _marks(flow: Flow) -> Marks:
    return Marks(control_database(client_for(flow.destination.name)))


def _streams(flow: Flow, records: Records) -> tuple[StreamStatus, ...]:
    failures = dict(flow.failures.values_list("collection", "error"))
    streams = []
    for collection in collections_of(flow, stored(flow, records.positions), failures):
        key = flow.key_of(collection)
        streams.append(
            stream_status(
                flow.source_of(collection),
                flow.destination_of(collection),
                records.positions.get(key),
                records.leases.get(key),
                records.parts.get(key, ()),
                enabled=flow.enabled,
                failure=failures.get(collection),
            )
        )
    return tuple(streams)


def _state(flow: Flow, streams: Sequence[StreamStatus]) -> FlowState:
    """A flow is what the first of these is that any of its streams is."""
    if not flow.enabled:
        return FlowState.DISABLED
    states = {stream.state for stream in streams}
    for state in (FlowState.FAILED, FlowState.SNAPSHOT, FlowState.STREAMING):
        if state in states:
            return state
    return FlowState.WAITING


def _error(streams: Sequence[StreamStatus], unseen: str | None) -> str | None:
    failed = [stream for stream in streams if stream.state is FlowState.FAILED]
    told = failed or [stream for stream in streams if stream.error]
    if not failed and unseen:
        return unseen
    if not told:
        return None
    if len(streams) == 1:
        return told[0].error
    what = "have failed" if failed else "are in trouble"
    return (
        f"{len(told)} of {len(streams)} collections {what}; {told[0].collection}: {told[0].error}"
    )


def _known(
    combine: Callable[[Iterable[Known]], Known], values: Iterable[Known | None]
) -> Known | None:
    """Combine the values that are known; None where none is."""
    known = [value for value in values if value is not None]
    return combine(known) if known else None


def _of_all(
    combine: Callable[[Iterable[Known]], Known], values: Sequence[Known | None]
) -> Known | None:
    """Combine the values if all of them are known."""
    known = [value for value in values if value is not None]
    return combine(known) if known and len(known) == len(values) else None
