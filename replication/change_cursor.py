"""The cursor of a change stream, by commands of our own: the driver's would decode every event."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson import Int64, Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from replication.filters import COMBINING
from replication.lookups import time_of
from replication.wire import Reply, read_reply

# How long the source holds an unanswered poll: how quickly a stop is noticed.
POLL_MILLISECONDS = 250
# Everything else that an event holds would be built, sent and thrown away.
_NEEDED = ("operationType", "documentKey", "clusterTime")
_SPLIT: dict[str, Any] = {"$changeStreamSplitLargeEvent": {}}
# Unrecognised stage, CommandNotSupported, NotImplemented, FailedToParse.
_NO_SUCH_STAGE = frozenset({9, 115, 238, 40324})


@dataclass(frozen=True)
class StartPoint:
    """Where a change stream begins: after a token, else at a cluster time."""

    token: Mapping[str, Any] | None = None
    cluster_time: Timestamp | None = None


@dataclass(frozen=True)
class Answer:
    """What the source answered, and when it was asked (seconds since the epoch).

    ``time`` is what the source had reached by then, as a number. ``polled`` says that it was asked
    for events: without any, there are none.
    """

    reply: Reply
    asked_at: float
    time: int
    size: int  # bytes
    polled: bool


@dataclass(frozen=True)
class Wanted:
    """What a change stream sends.

    ``documents`` come with inserts and replacements, ``look_ups`` with updates. Inserts that
    ``query`` does not match are left out.
    """

    documents: bool = True
    look_ups: bool = True
    split: bool = True  # what is too large for one event, where the source can do that
    query: Mapping[str, Any] | None = None

    def pipeline(self, start: StartPoint) -> list[dict[str, Any]]:
        """Return the stages of the aggregation."""
        options: dict[str, Any] = {"fullDocument": "updateLookup"} if self.look_ups else {}
        # Unlike resumeAfter it can also go on behind an invalidation.
        if start.token:
            options["startAfter"] = start.token
        elif start.cluster_time:
            options["startAtOperationTime"] = start.cluster_time
        needed = [*_NEEDED, "fullDocument"] if self.documents else _NEEDED
        stages: list[dict[str, Any]] = [{"$changeStream": options}]
        if self.query:
            other = {"operationType": {"$ne": "insert"}}
            stages.append({"$match": {"$or": [other, _of_event(self.query)]}})
        stages.append({"$project": dict.fromkeys(needed, 1)})
        if self.split:
            stages.append(_SPLIT)
        return stages


class ChangeCursor:
    """A cursor that is open at the source.

    After TokenUnavailable it can be used on; after any other failure it must be closed.
    """

    def __init__(
        self, collection: Collection[RawBSONDocument], start: StartPoint, wanted: Wanted
    ) -> None:
        """Open it: no event is read yet.

        Raises:
            PyMongoError: the source refuses, or does not answer.
        """
        self._collection = collection
        client = collection.database.client
        self._session = client.start_session(causal_consistency=False)
        try:
            self.first = self._answer(
                {
                    "aggregate": collection.name,
                    "pipeline": wanted.pipeline(start),
                    "cursor": {"batchSize": 0},
                }
            )
        except BaseException:
            self._session.end_session()
            raise
        self._id = self.first.reply.cursor
        self._unread: Answer | None = self.first

    @property
    def alive(self) -> bool:
        """Whether the source would still answer."""
        return self._id != 0

    def ask(self, events: int) -> Answer:
        """Return the next events, ``events`` at most; none after a quarter of a second.

        Raises:
            PyMongoError: the source refuses, or does not answer.
        """
        unread, self._unread = self._unread, None
        if unread is not None and not (unread.reply.empty and self.alive):
            return unread
        answer = self._answer(
            {
                "getMore": Int64(self._id),
                "collection": self._collection.name,
                "batchSize": events,
                "maxTimeMS": POLL_MILLISECONDS,
            }
        )
        self._id = answer.reply.cursor
        return answer

    def close(self) -> None:
        """Close it at the source, which would do so itself after a while.

        Raises:
            PyMongoError: the source does not answer.
        """
        identifier, self._id = self._id, 0
        try:
            if identifier:
                self._run({"killCursors": self._collection.name, "cursors": [Int64(identifier)]})
        finally:
            self._session.end_session()

    def abandon(self) -> None:
        """Forget it, after a failure that it did not survive."""
        self._id = 0
        self._session.end_session()

    def _answer(self, command: dict[str, Any]) -> Answer:
        asked_at = time.time()
        cursor = bytes(self._run(command)["cursor"].raw)
        polled = "getMore" in command
        return Answer(read_reply(cursor), asked_at, time_of(self._session), len(cursor), polled)

    def _run(self, command: dict[str, Any]) -> RawBSONDocument:
        options = self._collection.codec_options
        database = self._collection.database
        reply: RawBSONDocument = database.command(
            command, session=self._session, codec_options=options
        )
        return reply


def cannot_split(error: OperationFailure) -> bool:
    """Whether a source may have refused to open a change stream because it cannot split events."""
    return error.code in _NO_SUCH_STAGE


def _of_event(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return a query of documents as one of the events that hold them."""
    return {
        name if combines else f"fullDocument.{name}": (
            [_of_event(each) for each in value] if combines else value
        )
        for name, value in query.items()
        for combines in [name in COMBINING]
    }
