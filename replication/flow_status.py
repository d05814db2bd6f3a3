"""How a flow is going: what is known of all its streams together."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from replication.dead_letters import DeadLetters
from replication.discovery import collections_of, stored
from replication.guard import Guarantee
from replication.marks import Marks
from replication.models import Flow
from replication.mongo import client_for
from replication.position import control_database
from replication.records import Records, read_records
from replication.spec import Namespace
from replication.stream_status import FlowState, StreamStatus, stream_status

Known = TypeVar("Known")


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
    dead_letters: int = 0  # documents that the destination refuses for good
    unseen: str | None = None  # why the destination could not be looked at
    streams: tuple[StreamStatus, ...] = ()
    as_source: bool = True  # no filter and no rule makes the copy differ from its source

    @property
    def failed(self) -> int:
        """How many of the streams stand still until somebody resumes the flow."""
        return sum(stream.state is FlowState.FAILED for stream in self.streams)

    @property
    def guarantee(self) -> str:
        """The weakest of the guarantees of the streams (see guard.Guarantee); empty: not known."""
        known = {stream.guarantee for stream in self.streams}
        return max(known, key=_weakness, default="")


@dataclass(frozen=True)
class Seen:
    """What a look at a destination tells of flows, by their ids."""

    records: Records = field(default_factory=Records)
    waiting_since: Mapping[UUID, datetime | None] = field(default_factory=dict)
    dead_letters: Mapping[UUID, int] = field(default_factory=dict)


def look_at(connection: str, flow_ids: Collection[UUID]) -> Seen:
    """Look at a destination of these flows.

    Raises:
        PyMongoError, ReplicationError: it cannot be looked at.
    """
    control = control_database(client_for(connection))
    marks, letters = Marks(control), DeadLetters(control)
    return Seen(
        read_records(connection, flow_ids),
        {flow_id: marks.oldest(str(flow_id)) for flow_id in flow_ids},
        {flow_id: letters.count(flow_id) for flow_id in flow_ids},
    )


def put_together(flow: Flow, seen: Seen, *, unseen: str | None) -> FlowStatus:
    """Put together what the row of a flow and a look at its destination tell."""
    streams = _streams(flow, seen.records)
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
        waiting_since=seen.waiting_since.get(flow.id),
        error=_error(streams, unseen),
        snapshot_left=_known(max, (stream.snapshot_left for stream in streams)),
        skipped_at=_known(max, (stream.skipped_at for stream in streams)),
        dead_letters=seen.dead_letters.get(flow.id, 0),
        unseen=unseen,
        streams=streams,
        as_source=not (flow.filter or flow.field_rules),
    )


def _streams(flow: Flow, records: Records) -> tuple[StreamStatus, ...]:
    failures = {failure.collection: failure.error for failure in flow.failures.all()}
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


def _weakness(guarantee: str) -> int:
    return (Guarantee.EXACTLY_ONCE, "", Guarantee.GUARDED).index(guarantee)


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
