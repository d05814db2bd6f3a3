"""What the admin's page of a flow shows of how it is going."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pymongo
from pymongo.errors import PyMongoError

from replication.dead_letters import DeadLetters
from replication.errors import ReplicationError
from replication.guard import Guarantee
from replication.history import history_left
from replication.models import Flow
from replication.mongo import client_for
from replication.position import MongoTracker, control_database
from replication.status import FlowStatus, StreamStatus
from replication.stream_status import FlowState
from replication.throughput import MINUTES

_LOOK = 1.5  # seconds for one cluster
_WIDTH, _HEIGHT = 120, 24  # of a sparkline
_GUARANTEES = {
    Guarantee.EXACTLY_ONCE: "Exactly once: every state of the copy is one that the source had.",
    Guarantee.GUARDED: "Guarded: no document goes back, but a reader may see half of a batch.",
}


@dataclass(frozen=True)
class StreamLine:
    """One collection of the flow."""

    status: StreamStatus
    spark: str  # points of a polyline
    peak: int  # events in the busiest of the last minutes
    guarantee: str
    remedy: str

    @property
    def left(self) -> str:
        """How much longer the snapshot takes; empty where nobody knows."""
        return _rounded(self.status.snapshot_left)


@dataclass(frozen=True)
class Panel:
    """A flow as it is at this moment. None stands for what cannot be known."""

    status: FlowStatus
    streams: tuple[StreamLine, ...]
    letters: int | None
    history_left: timedelta | None
    minutes: int = MINUTES  # that a sparkline shows

    @property
    def history_left_text(self) -> str:
        """How long the source keeps what is not copied yet; empty where nobody knows."""
        return _rounded(self.history_left)


def panel_of(flow: Flow, status: FlowStatus) -> Panel:
    """Put together what ``status`` tells and what else its clusters know, within 5 seconds."""
    return Panel(
        status,
        tuple(_line(stream, flow) for stream in status.streams),
        _letters(flow),
        _history_left(flow, status),
    )


def sparkline(values: Sequence[int]) -> str:
    """Return the points of a line through ``values``, in a box of 120 by 24, zero at its foot."""
    peak = max(values, default=0) or 1
    step = _WIDTH / max(len(values) - 1, 1)
    foot = _HEIGHT - 1
    return " ".join(
        f"{step * place:.1f},{foot - (foot - 1) * value / peak:.1f}"
        for place, value in enumerate(values)
    )


def _rounded(time_left: timedelta | None) -> str:
    return "" if time_left is None else str(timedelta(seconds=round(time_left.total_seconds())))


def _line(stream: StreamStatus, flow: Flow) -> StreamLine:
    known = stream.guarantee in list(Guarantee)
    return StreamLine(
        stream,
        spark=sparkline(stream.throughput),
        peak=max(stream.throughput, default=0),
        guarantee=_GUARANTEES[Guarantee(stream.guarantee)] if known else "Not known yet.",
        remedy=_remedy(stream, flow),
    )


def _remedy(stream: StreamStatus, flow: Flow) -> str:
    if stream.state is FlowState.FAILED:
        return "Mend what it names, then resume the flow: it goes on where it stopped."
    if stream.error:
        return "It is tried again by itself. If it stays, test both connections."
    if stream.state is FlowState.WAITING and flow.enabled:
        return "No worker has it. If that lasts, look whether workers run for the queue 'streams'."
    if stream.skipped_at:
        return "Changes were left out: take a new snapshot for a whole copy."
    return ""


def _letters(flow: Flow) -> int | None:
    try:
        with pymongo.timeout(_LOOK):
            return DeadLetters(control_database(client_for(flow.destination.name))).count(flow.id)
    except (PyMongoError, ReplicationError):
        return None  # the page says of the destination what is wrong with it


def _history_left(flow: Flow, status: FlowStatus) -> timedelta | None:
    """Of the collection that is furthest behind."""
    behind = max(status.streams, key=lambda stream: stream.lag_seconds or 0.0, default=None)
    if behind is None or behind.position_at is None:
        return None
    try:
        with pymongo.timeout(_LOOK):
            tracker = MongoTracker(control_database(client_for(flow.destination.name)))
            position = tracker.load(flow.key_of(behind.collection))
            source = client_for(flow.source.name)
            return None if position is None else history_left(source, position)
    except (PyMongoError, ReplicationError):
        return None
