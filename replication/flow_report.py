"""How flows are going, as lines for people and as values for programs."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from replication.flow_status import FlowStatus
from replication.stream_status import StreamStatus
from replication.stuck import stuck_streams


def as_lines(
    statuses: Sequence[FlowStatus], history: Mapping[str, timedelta | None]
) -> Iterator[str]:
    """Yield a line for each flow, and one below it for each of its collections that is stuck.

    ``history`` is how long the sources still keep what is yet to be read, by flow; None: unknown.
    """
    for status in statuses:
        known = history.get(status.name)
        left = "unknown" if known is None else _rounded(known)
        yield " · ".join(
            (status.name, str(status.state), *_figures(status), f"history left: {left}")
        )
        for stuck in stuck_streams(status):
            yield f"  stuck: {stuck}"


def as_values(status: FlowStatus, history_left: timedelta | None) -> dict[str, Any]:
    """Return what is known of a flow as JSON can hold it; moments are in ISO 8601, UTC."""
    return {
        "flow": status.name,
        "state": status.state.value,
        "guarantee": status.guarantee,
        "dead_letters": status.dead_letters,
        "history_left_seconds": None if history_left is None else history_left.total_seconds(),
        "stuck": [
            {"collection": stuck.collection, "reason": stuck.reason}
            for stuck in stuck_streams(status)
        ],
        "collections": [_stream_values(stream) for stream in status.streams],
    }


def _figures(status: FlowStatus) -> Iterator[str]:
    if len(status.streams) != 1:
        yield f"{len(status.streams):,} collections"
    if status.copying and status.snapshot_copied is not None:
        left = status.snapshot_left
        more = f", {_rounded(left)} left" if left is not None else ""
        yield f"copied {status.snapshot_copied:,} of {status.snapshot_total or 0:,}{more}"
    yield f"{status.events:,} events"
    if status.lag_seconds is not None:
        yield f"lag {status.lag_seconds:.1f} s"
    if status.dead_letters:
        yield f"{status.dead_letters:,} dead letters"
    if status.skipped_at is not None:
        yield f"changes left out at {status.skipped_at:%Y-%m-%d %H:%M} UTC"
    if status.guarantee:
        yield status.guarantee


def _stream_values(stream: StreamStatus) -> Mapping[str, Any]:
    return {
        "collection": stream.collection,
        "copy": str(stream.destination),
        "state": stream.state.value,
        "events": stream.events,
        "lag_seconds": stream.lag_seconds,
        "position_at": _text(stream.position_at),
        "consistent_since": _text(stream.consistent_since),
        "skipped_at": _text(stream.skipped_at),
        "copied": stream.snapshot_copied,
        "total": stream.snapshot_total,
        "error": stream.error,
    }


def _rounded(duration: timedelta) -> str:
    return str(timedelta(seconds=round(duration.total_seconds())))


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
