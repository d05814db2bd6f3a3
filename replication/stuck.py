"""Which collections do not get on, as an operator's alarm should see it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from replication.flow_status import FlowStatus
from replication.stream_status import FlowState, StreamStatus

_BEHIND = timedelta(minutes=10)  # more than any outage that ends by itself should take


@dataclass(frozen=True)
class Stuck:
    """A collection of a flow, or all of them where it is empty, and why it does not get on."""

    flow: str
    collection: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.flow}, {self.collection}" if self.collection else self.flow
        return f"{place}: {self.reason}"


def stuck_streams(status: FlowStatus) -> Iterator[Stuck]:
    """Yield what of a flow is stuck. Of a paused one nothing is."""
    if not status.enabled:
        return
    if status.unseen is not None:
        yield Stuck(status.name, "", status.unseen)
    for stream in status.streams:
        reason = _reason(stream) if status.unseen is None else _failure(stream)
        if reason is not None:
            yield Stuck(status.name, stream.collection, reason)


def _failure(stream: StreamStatus) -> str | None:
    return f"failed: {stream.error}" if stream.state is FlowState.FAILED else None


def _reason(stream: StreamStatus) -> str | None:
    if stream.state is FlowState.FAILED:
        return _failure(stream)
    trouble = f"; {stream.error}" if stream.error else ""
    if stream.lag_seconds is not None:
        behind = timedelta(seconds=round(stream.lag_seconds))
        return f"{behind} behind{trouble}" if behind > _BEHIND else None
    if stream.state is FlowState.WAITING:
        return f"nobody works on it{trouble}"
    return f"in trouble: {stream.error}" if stream.error else None
