"""Batches of changes: what a change stream gave, compacted to one write per document."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import Timestamp
from bson.raw_bson import RawBSONDocument

from replication.errors import HistoryLost, ReplicationError

_WITH_DOCUMENT = frozenset({"insert", "replace", "update"})
_ENDS_OF_HISTORY = frozenset({"drop", "rename", "dropDatabase", "invalidate"})


class UnknownEvent(ReplicationError):
    """The source sent a kind of event that nothing here knows how to apply."""


@dataclass(frozen=True)
class BatchLimits:
    """When a batch is full. The first limit that is reached counts."""

    age: float = 0.5  # seconds after its first event
    writes: int = 10_000
    size: int = 8 * 1024 * 1024  # bytes of events


@dataclass(frozen=True)
class Batch:
    """Changes in the order of the source, compacted. Without events it still moves the position.

    ``writes`` maps a document's key to its last state, both as the source's BSON; None means
    that the document was deleted.
    """

    writes: Mapping[bytes, bytes | None]
    events: int
    token: Mapping[str, Any] | None
    cluster_time: Timestamp | None
    caught_up_at: datetime | None  # the source had nothing more at this moment

    @property
    def last_event_at(self) -> datetime | None:
        """When the source made the last change of the batch."""
        return self.cluster_time.as_datetime() if self.cluster_time else None

    @property
    def position_at(self) -> datetime | None:
        """Up to when everything has been read."""
        return self.caught_up_at or self.last_event_at


class BatchBuilder:
    """Collects change events until a batch is full or old enough."""

    def __init__(self, limits: BatchLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._clear()

    def _clear(self) -> None:
        self._writes: dict[bytes, bytes | None] = {}
        self._events = 0
        self._size = 0
        self._cluster_time: Timestamp | None = None
        self._began = 0.0

    def add(self, change: RawBSONDocument) -> None:
        """Note one event.

        Raises:
            HistoryLost: the collection was dropped or renamed.
            UnknownEvent: the event is of no kind that can be applied.
        """
        operation = change["operationType"]
        if operation in _ENDS_OF_HISTORY:
            raise HistoryLost(
                f"The source collection is gone: its change stream ended ({operation})."
            )
        if operation != "delete" and operation not in _WITH_DOCUMENT:
            raise UnknownEvent(f"The change stream sent {operation!r}, which cannot be applied.")
        if not self._events:
            self._began = self._clock()
        key = bytes(change["documentKey"].raw)
        document = None if operation == "delete" else change.get("fullDocument")
        # An update's document is looked up later: None means that its deletion follows.
        if document is not None:
            self._writes[key] = bytes(document.raw)
        elif operation == "delete":
            self._writes[key] = None
        self._events += 1
        self._size += len(change.raw)
        self._cluster_time = change["clusterTime"]

    @property
    def full(self) -> bool:
        """Whether the batch should be applied now."""
        limits = self._limits
        return self._events > 0 and (
            len(self._writes) >= limits.writes
            or self._size >= limits.size
            or self._clock() - self._began >= limits.age
        )

    def take(self, token: Mapping[str, Any] | None, *, caught_up_at: float | None) -> Batch:
        """Return what was collected, and begin anew. ``caught_up_at``: seconds since the epoch."""
        moment = None if caught_up_at is None else datetime.fromtimestamp(caught_up_at, UTC)
        batch = Batch(
            writes=self._writes,
            events=self._events,
            token=token,
            cluster_time=self._cluster_time,
            caught_up_at=moment,
        )
        self._clear()
        return batch
