"""Batches of changes: what a change stream gave, compacted to one write per document."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NoReturn

from bson import Timestamp

from replication.errors import HistoryLost, ReplicationError
from replication.keys import key_document
from replication.lookups import Ahead, Found, to_timestamp
from replication.wire import Event

_ENDS_OF_HISTORY = frozenset({b"drop", b"rename", b"dropDatabase", b"invalidate"})


class UnknownEvent(ReplicationError):
    """The source sent something that nothing here knows how to apply."""


@dataclass(frozen=True)
class BatchLimits:
    """When a batch is full. The first limit that is reached counts."""

    age: float = 0.5  # seconds after its first event
    writes: int = 10_000
    size: int = 8 * 1024 * 1024  # bytes of events


@dataclass(frozen=True)
class Changes:
    """Events in order, each whole, and what is known of the answer that brought them.

    ``time`` bounds when their documents were looked up; ``slim`` events lack them.
    """

    events: Iterator[Event]
    caught_up: bool  # the source had nothing more
    asked_at: float  # seconds since the epoch
    time: int
    slim: bool = False


@dataclass(frozen=True)
class Batch:
    """Changes in the order of the source, compacted. Without events it still moves the position.

    ``writes`` maps a document's key to its last state, both as the source's BSON, in the order of
    the documents' last events; None means that the document was deleted.
    """

    writes: Mapping[bytes, bytes | None]
    events: int
    token: Mapping[str, Any] | None
    cluster_time: Timestamp | None
    caught_up_at: datetime | None  # the source had nothing more at this moment
    size: int = 0  # bytes of documents that the source sent
    looked_up_until: Timestamp | None = None  # the latest that a looked-up state can be from

    @property
    def last_event_at(self) -> datetime | None:
        """When the source made the last change of the batch."""
        return self.cluster_time.as_datetime() if self.cluster_time else None

    @property
    def position_at(self) -> datetime | None:
        """Up to when everything has been read."""
        return self.caught_up_at or self.last_event_at

    def shaped(self, shape: Callable[[bytes], bytes]) -> "Batch":
        """Return the batch with what ``shape`` makes of each document."""
        return replace(
            self,
            writes={key: each and shape(each) for key, each in self.writes.items()},
        )

    def joined(self, later: "Batch") -> "Batch":
        """Return one batch of this one and the one that follows it."""
        writes = {key: each for key, each in self.writes.items() if key not in later.writes}
        known = [each for each in (self.looked_up_until, later.looked_up_until) if each]
        return replace(
            later,
            writes={**writes, **later.writes},
            events=self.events + later.events,
            cluster_time=later.cluster_time or self.cluster_time,
            size=self.size + later.size,
            looked_up_until=max(known, default=None),
        )


@dataclass
class Collected:
    """What a builder has collected: a batch whose ``missing`` documents have to be looked up.

    Cluster times are numbers, 0 where there is none.
    """

    writes: dict[bytes, bytes | None]
    missing: tuple[bytes, ...]
    events: int
    size: int
    time: int  # of the last event
    looked_up_until: int
    token: Mapping[str, Any] | None
    caught_up_at: float | None  # seconds since the epoch

    def fill(self, found: Found) -> None:
        """Take in the missing documents."""
        self.writes.update(found.documents)
        self.looked_up_until = max(self.looked_up_until, found.until)

    def batch(self) -> Batch:
        """Return the batch."""
        moment = self.caught_up_at
        return Batch(
            writes=self.writes,
            events=self.events,
            token=self.token,
            cluster_time=to_timestamp(self.time) if self.time else None,
            caught_up_at=None if moment is None else datetime.fromtimestamp(moment, UTC),
            size=self.size,
            looked_up_until=to_timestamp(self.looked_up_until) if self.looked_up_until else None,
        )


class BatchBuilder:
    """Collects change events, one write for each document.

    ``look_up`` says that only a look-up can tell what a replacement or an update left behind.
    """

    def __init__(
        self,
        ahead: Ahead,
        *,
        look_up: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ahead = ahead
        self._look_up = look_up
        self._clock = clock
        self._clear()

    def _clear(self) -> None:
        self._writes: dict[bytes, bytes | None] = {}
        self._missing: set[bytes] = set()
        self._looked_up_until = 0
        self._began = 0.0
        self.events = 0
        self.size = 0
        self.time = 0  # of the last event

    def add(self, event: Event, until: int, *, slim: bool = False) -> None:
        """Note one event, whose document was looked up at ``until`` if it is an update's.

        A ``slim`` event lacks its document.

        Raises:
            HistoryLost: the collection was dropped or renamed.
            UnknownEvent: the event is of no kind that can be applied.
        """
        operation, key, document, moment, *_ = event
        if key[5:9] != b"_id\0":  # of a sharded collection: its key names other fields too
            key = key_document(key) if key else key
        writes = self._writes
        if operation == b"update":
            looked_up = slim or self._look_up or self._ahead.overtakes(key)
        elif operation in (b"insert", b"replace"):
            looked_up = slim or (self._look_up and operation == b"replace")
            looked_up = looked_up or document is None or self._ahead.includes(key, moment)
        elif operation == b"delete":
            looked_up, document = self._ahead.includes(key, moment), None
        else:
            _refuse(operation)
        if not self.events:
            self._began = self._clock()
        self.events += 1
        self.size += len(key) + len(document or b"")
        self.time = moment
        if operation == b"update" and document is None and not looked_up:
            return  # deleted meanwhile: its deletion follows
        # The order of the last events is what unique indexes of the copy need.
        if key in writes:
            del writes[key]
            self._missing.discard(key)
        if looked_up:
            self._missing.add(key)
            writes[key] = None
            return
        writes[key] = document
        if operation == b"update":
            self._ahead.note(key, until)
            self._looked_up_until = max(self._looked_up_until, until)

    def ask_for(self, keys: Iterable[bytes]) -> None:
        """Let the next batch write these documents as they are then."""
        for key in keys:
            self._writes.setdefault(key, None)
            self._missing.add(key)

    @property
    def writes(self) -> int:
        """How many documents the batch would write."""
        return len(self._writes)

    @property
    def age(self) -> float:
        """Seconds since the first event."""
        return self._clock() - self._began if self.events else 0.0

    def take(self, token: Mapping[str, Any] | None, caught_up_at: float | None) -> Collected:
        """Return what was collected, and begin anew."""
        collected = Collected(
            writes=self._writes,
            missing=tuple(self._missing),
            events=self.events,
            size=self.size,
            time=self.time,
            looked_up_until=self._looked_up_until,
            token=token,
            caught_up_at=caught_up_at,
        )
        self._clear()
        return collected


def _refuse(operation: bytes) -> NoReturn:
    name = operation.decode(errors="replace")
    if operation in _ENDS_OF_HISTORY:
        raise HistoryLost(f"The source collection is gone: its change stream ended ({name}).")
    raise UnknownEvent(f"The change stream sent {name!r}, which cannot be applied.")
