"""Events become batches: collected in one thread, taken out in another."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from bson import Timestamp

from replication.changes import Batch, BatchBuilder, BatchLimits, Changes, Collected
from replication.errors import ReplicationError
from replication.lookups import Ahead, Found


class Source(Protocol):
    """Where events come from, as ChangeSource has them."""

    @property
    def token(self) -> Mapping[str, Any] | None:
        """From where to go on behind the events that have been taken."""

    def ask(self) -> Changes:
        """Return the next events, once those before have been taken."""

    def close(self) -> None:
        """Let go of what is open. ``ask`` would open it again at the same place."""


class Lookup(Protocol):
    """Where documents come from, as DocumentLookup has them."""

    def find(self, keys: Sequence[bytes]) -> Found:
        """Return the documents as they are now."""


class Collecting:
    """Collects what a source sends into batches. One thread may ``poll``, another one ``take``.

    Of a ``filtered`` source's events only a look-up tells which documents still match.
    """

    def __init__(
        self,
        source: Source,
        lookup: Lookup,
        *,
        limits: BatchLimits | None = None,
        looked_up_until: Timestamp | None = None,
        filtered: bool = False,
    ) -> None:
        self.limits = limits or BatchLimits()
        self._source = source
        self._lookup = lookup
        self._lock = threading.Lock()
        self._ahead = Ahead(looked_up_until)
        self._builder = BatchBuilder(self._ahead, look_up=filtered)
        self._changes: Changes | None = None  # until all of their events are collected
        self._caught_up_at: float | None = None
        self._taken: Collected | None = None  # until its look-ups have succeeded
        self._end: ReplicationError | None = None

    @property
    def events(self) -> int:
        """How many events have been collected."""
        return self._builder.events

    @property
    def size(self) -> int:
        """How many bytes of documents have been collected."""
        return self._builder.size

    @property
    def full(self) -> bool:
        """Whether a batch has as much as it should."""
        return self._builder.writes >= self.limits.writes or self._builder.size >= self.limits.size

    @property
    def caught_up(self) -> bool:
        """Whether the source had nothing more when it was last asked."""
        return self._caught_up_at is not None

    def read(self) -> Batch:
        """Return the next batch: when it is full or old, or when the source has nothing more.

        Raises:
            PyMongoError: as the driver raises it; sort it with ``errors.sort_failure``.
            HistoryLost: the collection was dropped or renamed.
        """
        while not (self.full or self.caught_up or self._builder.age >= self.limits.age):
            self.poll()
        return self.take()

    def poll(self) -> None:
        """Ask the source once, for a quarter of a second at most, and collect what it sends.

        What is left of its last answer is collected first. Raises as ``read`` does.
        """
        if self._end is not None:
            raise self._end
        if self._changes is None:
            with self._lock:
                self._ahead.asked()
            self._changes = self._source.ask()
        with self._lock:
            self._collect(self._changes)

    def take(self) -> Batch:
        """Return what has been collected, with all documents that had to be looked up.

        Raises:
            PyMongoError: a look-up failed; the next call tries it again.
        """
        with self._lock:
            if self._taken is None:
                self._taken = self._builder.take(self._source.token, self._caught_up_at)
                self._caught_up_at = None
            taken = self._taken
            self._ahead.begin(taken.missing)
        if taken.missing:
            found = self._lookup.find(taken.missing)
            with self._lock:
                self._ahead.end(taken.missing, found.until)
            taken.fill(found)
        self._taken = None
        return taken.batch()

    def look_up(self, keys: Iterable[bytes]) -> None:
        """Let the next batch write these documents as the source has them then."""
        with self._lock:
            self._builder.ask_for(keys)

    def close(self) -> None:
        """Close the cursor. A later ``poll`` would open a new one at the same place."""
        self._source.close()

    def _collect(self, changes: Changes) -> None:
        builder = self._builder
        try:
            for event in changes.events:
                builder.add(event, changes.time, slim=changes.slim)
                if self.full:
                    return
        except ReplicationError as error:
            self._end = error
            raise
        finally:
            self._ahead.passed(builder.time)
        self._changes = None
        self._caught_up_at = changes.asked_at if changes.caught_up else None
        if changes.caught_up:
            self._ahead.caught_up()
