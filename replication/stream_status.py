"""How one stream is going: what its position, lease, parts and failure tell together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from replication.lease import LeaseState
from replication.parts import Part
from replication.position import Phase, Position
from replication.progress import progress_of
from replication.spec import Namespace
from replication.throughput import by_minute


class FlowState(StrEnum):
    """What a flow, or a stream of it, is doing now."""

    DISABLED = "disabled"
    WAITING = "waiting"  # for a worker
    SNAPSHOT = "snapshot"
    STREAMING = "streaming"
    FAILED = "failed"  # until somebody resumes it


@dataclass(frozen=True)
class StreamStatus:
    """One collection of a flow as it is at this moment. Dates are aware (UTC)."""

    source: Namespace
    destination: Namespace
    state: FlowState
    events: int = 0  # change events applied
    batches: int = 0  # commits
    owners: int = 0  # how often somebody took the stream over
    last_event_at: datetime | None = None
    position_at: datetime | None = None  # the copy holds everything up to here
    consistent_since: datetime | None = None
    lag_seconds: float | None = None
    copying: bool = False  # a snapshot has begun and not ended: the copy is not whole
    snapshot_copied: int | None = None
    snapshot_total: int | None = None
    snapshot_left: timedelta | None = None  # of the time it takes, while somebody copies
    snapshot_parts: int = 0  # of the snapshot that is under way
    snapshot_parts_done: int = 0
    skipped_at: datetime | None = None  # changes were left out then, and no snapshot since
    guarantee: str = ""  # of the copy as it is now (see guard.Guarantee); empty: not known yet
    indexes_left_out: tuple[str, ...] = ()  # of those that were to be copied, and why
    throughput: tuple[int, ...] = ()  # events of each of the last minutes, the current one last
    error: str | None = None

    @property
    def collection(self) -> str:
        """The collection in the source, by which a flow's streams are told apart."""
        return self.source.collection


def stream_status(
    source: Namespace,
    destination: Namespace,
    position: Position | None,
    lease: LeaseState | None,
    parts: Sequence[Part] = (),
    *,
    enabled: bool,
    failure: str | None,
) -> StreamStatus:
    """Put together what is known of a stream."""
    state = _state(position, lease, enabled=enabled, failed=failure is not None)
    error = failure or (lease.error if lease else None)
    if position is None:
        return StreamStatus(source, destination, state, error=error)
    now = datetime.now(UTC)
    position_at = _position_at(position, lease)
    lag = None if position_at is None else max(0.0, (now - position_at).total_seconds())
    copied, left = position.snapshot_copied, None
    total = position.snapshot_total
    if position.phase is Phase.SNAPSHOT:
        progress = progress_of(parts, total or 0, now)
        copied, total, left = progress.copied, progress.total, progress.left
    return StreamStatus(
        source,
        destination,
        state,
        events=position.events,
        batches=position.batch,
        owners=position.epoch,
        last_event_at=position.last_event_at,
        position_at=position_at,
        consistent_since=position.consistent_since,
        lag_seconds=lag,
        copying=position.phase is not Phase.STREAM,
        snapshot_copied=copied,
        snapshot_total=total,
        snapshot_left=left,
        snapshot_parts=len(parts),
        snapshot_parts_done=sum(part.done for part in parts),
        skipped_at=position.skipped_at,
        guarantee=position.guarantee,
        indexes_left_out=tuple(position.indexes_left_out),
        throughput=by_minute(position.recent, now),
        error=error,
    )


def _state(
    position: Position | None, lease: LeaseState | None, *, enabled: bool, failed: bool
) -> FlowState:
    if not enabled:
        return FlowState.DISABLED
    if failed:
        return FlowState.FAILED
    if position is None or lease is None or not lease.live:
        return FlowState.WAITING
    return FlowState.STREAMING if position.phase is Phase.STREAM else FlowState.SNAPSHOT


def _position_at(position: Position, lease: LeaseState | None) -> datetime | None:
    """An idle stream saves its position rarely, but reports with its lease that it is idle."""
    moments = [position.position_at, lease.caught_up_at if lease else None]
    return max((moment for moment in moments if moment is not None), default=None)
