"""A source's events for as long as they are wanted, over cursors that die."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import bson
import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError, WaitQueueTimeoutError

from replication.change_cursor import Answer, ChangeCursor, StartPoint, Wanted, cannot_split
from replication.changes import Changes, UnknownEvent
from replication.errors import describe
from replication.wire import Event

log = structlog.get_logger(__name__)

# What an answer should hold: large enough to cost little for each event, small enough for memory.
_EVENTS_PER_ANSWER = 5_000
_BYTES_PER_ANSWER = 4 * 1024 * 1024
_FIRST_GUESS = 4_096  # bytes of an event
_CAUTION = 8  # how much larger events are taken to be after an answer that did not arrive
_TOO_LARGE = 10334  # BSONObjectTooLarge


class ChangeSource:
    """The events of one collection after ``start``, each once. For one thread at a time."""

    def __init__(
        self,
        collection: Collection[RawBSONDocument],
        start: StartPoint,
        query: Mapping[str, Any] | None = None,
    ) -> None:
        self._collection = collection
        self._start = start
        self._token: bytes | None = None  # behind the last event that was taken
        # A query is asked of an update's document by our own look-up: it tells more than no match.
        self._wanted = Wanted(look_ups=not query, query=query)
        self._cursor: ChangeCursor | None = None
        self._pieces: Event | None = None
        self._event_size = float(_FIRST_GUESS)  # a moving average, in bytes

    @property
    def token(self) -> Mapping[str, Any] | None:
        """From where to go on behind the events that have been taken."""
        return bson.decode(self._token) if self._token else self._start.token

    def ask(self) -> Changes:
        """Return the next events, or none after a quarter of a second.

        All events of the answer before must have been taken.

        Raises:
            PyMongoError: as the driver raises it. The next call goes on at the same place.
        """
        try:
            cursor = self._cursor or self._open()
            answer = cursor.ask(self._count())
        except WaitQueueTimeoutError:
            raise  # also for want of a token: the cursor lives
        except OperationFailure as error:
            self._abandon()
            if error.code != _TOO_LARGE:
                raise
            return self._ask_slim()
        except PyMongoError:
            self._abandon()
            # The answer may have been too long for whatever is between: ask for fewer events.
            self._event_size = min(self._event_size * _CAUTION, _BYTES_PER_ANSWER)
            raise
        if not cursor.alive:
            self._abandon()
        return self._changes(answer)

    def open(self) -> None:
        """Begin at the point that the source has reached, if there is no other start.

        Raises:
            PyMongoError: the source refuses, or does not answer.
        """
        if self._cursor is None:
            self._open()

    def close(self) -> None:
        """Close the cursor. ``ask`` would open a new one at the same place."""
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            try:
                cursor.close()
            except PyMongoError as error:
                # The source ends it by itself after a while.
                log.info("change_stream_close_failed", error=describe(error))

    def _open(self) -> ChangeCursor:
        start = StartPoint(self.token, self._start.cluster_time)
        try:
            cursor = ChangeCursor(self._collection, start, self._wanted)
        except OperationFailure as error:
            if not (self._wanted.split and cannot_split(error)):
                raise
            self._wanted = replace(self._wanted, split=False)
            cursor = ChangeCursor(self._collection, start, self._wanted)
        self._cursor = cursor
        self._pieces = None  # they come again
        if cursor.first.reply.empty:
            self._token = cursor.first.reply.token or self._token
        return cursor

    def _abandon(self) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.abandon()

    def _ask_slim(self) -> Changes:
        """Read events without documents: with its document, one of them is too large to be sent."""
        wanted = replace(self._wanted, documents=False, look_ups=False)
        start = StartPoint(self.token, self._start.cluster_time)
        cursor = ChangeCursor(self._collection, start, wanted)
        self._pieces = None
        try:
            answer = cursor.ask(self._count())
        finally:
            self._cursor = cursor
            self.close()
        return self._changes(answer, slim=True)

    def _changes(self, answer: Answer, *, slim: bool = False) -> Changes:
        caught_up = answer.polled and answer.reply.empty and not slim
        return Changes(self._events(answer), caught_up, answer.asked_at, answer.time, slim)

    def _events(self, answer: Answer) -> Iterator[Event]:
        count = 0
        for event in answer.reply.events:
            count += 1
            whole: Event | None = event
            if event.fragments > 1 or self._pieces is not None:
                whole = self._merged(event)
            if whole is not None:
                self._token = whole.token
                yield whole
        if self._pieces is None and answer.reply.token is not None:
            self._token = answer.reply.token
        if count:
            self._event_size += (answer.size / count - self._event_size) / 2

    def _merged(self, event: Event) -> Event | None:
        """Join the fragments of an event; None until the last of them is there."""
        before, self._pieces = self._pieces, None
        expected = 1 if before is None else before.fragment + 1
        if event.fragment != expected or (before and before.fragments != event.fragments):
            raise UnknownEvent("The change stream sent fragments of an event, and not all of them.")
        if before is not None:
            event = Event(
                before.operation or event.operation,
                before.key or event.key,
                event.document if before.document is None else before.document,
                before.time or event.time,
                event.token,
                event.fragment,
                event.fragments,
            )
        if event.fragment < event.fragments:
            self._pieces = event
            return None
        return event

    def _count(self) -> int:
        return max(1, min(_EVENTS_PER_ANSWER, int(_BYTES_PER_ANSWER / self._event_size)))
