"""Documents that the destination refuses for good, set aside so that the others can go on.

A letter is written in the transaction that moves the position past the document's event, and a
later good write of the document removes it in its own. It holds the ``_id`` and the reason, and
nothing else of the document: what the document is now, the source knows.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from bson import Binary, ObjectId
from bson.codec_options import CodecOptions
from pymongo.client_session import ClientSession
from pymongo.database import Database

from replication.keys import id_of
from replication.refusals import Refusal

DEAD_LETTERS = "dead_letters"
_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
_AT_ONCE = 100  # SecantusDB's time for {$in: …} grows with the square of its length
Item = TypeVar("Item")


@dataclass(frozen=True)
class DeadLetter:
    """A document that is not in the copy as it is in the source. ``at`` is aware (UTC)."""

    id: ObjectId
    flow: str
    stream: str
    key: bytes = field(repr=False)  # a document of the _id alone
    operation: str  # "write" or "delete"
    code: int  # the server's
    reason: str
    at: datetime  # of the last attempt
    attempts: int
    retry: bool  # somebody asked for another attempt, which is to come

    @property
    def document_id(self) -> Any:
        """The ``_id``, for administrators' eyes: it may be a person's name."""
        return id_of(self.key)


class DeadLetters:
    """The dead letters in one destination's control database."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._letters = database.get_collection(DEAD_LETTERS, codec_options=_AWARE)

    def of_flow(self, flow_id: UUID, limit: int) -> list[DeadLetter]:
        """Return at most ``limit`` letters of a flow, the oldest first."""
        found = self._letters.find({"flow": str(flow_id)}).sort("_id", 1).limit(limit)
        return [_letter(document) for document in found]

    def count(self, flow_id: UUID) -> int:
        """Return how many letters a flow has."""
        return self._letters.count_documents({"flow": str(flow_id)})

    def retry(self, ids: Iterable[ObjectId]) -> int:
        """Ask the streams' owners for another attempt; return how many letters are there."""
        chosen = _chunks(ids)
        return sum(
            self._letters.update_many(
                {"_id": {"$in": ids}}, {"$set": {"retry": True}}
            ).matched_count
            for ids in chosen
        )

    def discard(self, ids: Iterable[ObjectId]) -> int:
        """Forget letters: their documents stay what they are in the copy. Return how many."""
        return sum(
            self._letters.delete_many({"_id": {"$in": chosen}}).deleted_count
            for chosen in _chunks(ids)
        )


class StreamLetters:
    """The letters of one stream, for whoever writes its copy."""

    def __init__(self, database: Database[dict[str, Any]], flow_id: UUID, stream: str) -> None:
        self._letters = database.get_collection(DEAD_LETTERS, codec_options=_AWARE)
        self._flow = str(flow_id)
        self._stream = stream
        self._known: set[bytes] | None = None

    def prepare(self) -> None:
        """Learn which letters there are, once until ``look_again``. Not in a transaction."""
        if self._known is None:
            self._letters.create_index([("stream", 1), ("key", 1)])
            self._letters.create_index([("flow", 1), ("_id", 1)])
            found = self._letters.find({"stream": self._stream}, {"key": 1})
            self._known = {bytes(document["key"]) for document in found}

    @property
    def known(self) -> Collection[bytes]:
        """The keys that have letters, as far as this one knows."""
        return self._known or ()

    def to_retry(self) -> list[bytes]:
        """Return the keys whose documents somebody asked to try again, a hundred at most."""
        chosen = {"stream": self._stream, "retry": True}
        found = self._letters.find(chosen, {"key": 1}).limit(_AT_ONCE)
        return [bytes(document["key"]) for document in found]

    def look_again(self) -> None:
        """Forget which letters there are: others may have written some."""
        self._known = None

    def update(
        self,
        refused: Mapping[bytes, Refusal],
        written: Iterable[bytes],
        deleted: frozenset[bytes],
        session: ClientSession | None,
        *,
        retry: bool,
    ) -> None:
        """Write letters for what is ``refused``, and remove those of what is ``written``.

        ``deleted`` are the keys whose documents the source no longer has. With ``retry`` what a
        unique index refuses is tried again without being asked: later changes may let it in.
        """
        for key, refusal in refused.items():
            self._letters.update_one(
                {"stream": self._stream, "key": Binary(key)},
                {
                    "$set": {
                        "flow": self._flow,
                        "operation": "delete" if key in deleted else "write",
                        "code": refusal.code,
                        "reason": refusal.reason,
                        "at": datetime.now(UTC),
                        "retry": retry and refusal.by_unique_index,
                    },
                    "$inc": {"attempts": 1},
                },
                upsert=True,
                session=session,
            )
        known = self._known or set()
        if known:
            for keys in _chunks(key for key in written if key in known):
                chosen = {"stream": self._stream, "key": {"$in": [Binary(key) for key in keys]}}
                self._letters.delete_many(chosen, session=session)
        if refused:
            # None is taken out, as the transaction may be undone.
            self._known = known | refused.keys()


def _letter(document: Mapping[str, Any]) -> DeadLetter:
    return DeadLetter(
        id=document["_id"],
        flow=document["flow"],
        stream=document["stream"],
        key=bytes(document["key"]),
        operation=document["operation"],
        code=document["code"],
        reason=document["reason"],
        at=document["at"],
        attempts=document["attempts"],
        retry=document["retry"],
    )


def _chunks(items: Iterable[Item]) -> Iterable[list[Item]]:
    listed = list(items)
    return (listed[start : start + _AT_ONCE] for start in range(0, len(listed), _AT_ONCE))
