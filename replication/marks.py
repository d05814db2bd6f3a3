"""Touched partitions: which parts of a copy have changed since somebody last looked.

A batch appends marks in the transaction of its writes, so a mark is there exactly when the
change is. Whoever derives data from the copy reads marks, rebuilds, and removes those that it has
read; a mark that came meanwhile stays.

Without transactions a mark is there before its change: it stays hidden until that is done, as a
reader would otherwise rebuild too early and never again.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database

from replication.wire import chosen_fields

MARKS = "marks"
PARTITIONS_PER_MARK = 1_000
_IDS_AT_ONCE = 100
# The field of a hidden mark that names its stream.
_HIDDEN = "hidden"
_LENGTH = struct.Struct("<i")
_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


@dataclass(frozen=True)
class Mark:
    """One commit's touched partitions: the values of the flow's partition fields.

    Dates are aware (UTC). A field that a document lacks is None.
    """

    id: ObjectId
    partitions: tuple[Mapping[str, object], ...]


class TouchedPartitions:
    """Collects the partitions of documents, each once, without decoding the documents."""

    def __init__(self, fields: Sequence[str]) -> None:
        # What stands for a field that a document lacks.
        self._lacking = {field.encode(): b"\n" + field.encode() + b"\0" for field in fields}
        self._seen: set[bytes] = set()

    def add(self, documents: Iterable[bytes]) -> None:
        """Note the partitions of documents.

        Raises:
            InvalidBSON: one is none.
        """
        lacking, seen = self._lacking, self._seen
        if lacking:
            for document in documents:
                found = chosen_fields(document, lacking)
                seen.add(b"".join([found.get(name, lack) for name, lack in lacking.items()]))

    def documents(self, flow_id: str) -> list[dict[str, Any]]:
        """Return the mark documents to insert; none when nothing was noted."""
        found = [
            RawBSONDocument(_LENGTH.pack(len(body) + 5) + body + b"\0")
            for body in sorted(self._seen)
        ]
        return [
            {"flow": flow_id, "partitions": found[start : start + PARTITIONS_PER_MARK]}
            for start in range(0, len(found), PARTITIONS_PER_MARK)
        ]


class Marks:
    """The marks in one destination's control database."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._collection = database.get_collection(MARKS, codec_options=_AWARE)

    def ensure_index(self) -> None:
        """Create what ``read`` needs to be quick."""
        self._collection.create_index([("flow", 1), ("_id", 1)])

    def append(
        self, touched: TouchedPartitions, *, flow_id: str, session: ClientSession | None
    ) -> None:
        """Insert the marks of a batch in its transaction."""
        documents = touched.documents(flow_id)
        if documents:
            self._collection.insert_many(documents, session=session)

    def append_hidden(
        self, touched: TouchedPartitions, *, flow_id: str, stream: str
    ) -> list[ObjectId]:
        """Insert the marks of writes that are to come, and return what ``show`` needs."""
        documents = [{**each, _HIDDEN: stream} for each in touched.documents(flow_id)]
        return list(self._collection.insert_many(documents).inserted_ids) if documents else []

    def show(self, ids: Sequence[ObjectId]) -> None:
        """Let readers see hidden marks."""
        for start in range(0, len(ids), _IDS_AT_ONCE):
            chosen = {"_id": {"$in": ids[start : start + _IDS_AT_ONCE]}}
            self._collection.update_many(chosen, {"$unset": {_HIDDEN: 1}})

    def show_left_behind(self, stream: str, older_than: timedelta) -> None:
        """Let readers see what earlier owners of a stream hid and never showed."""
        until = ObjectId.from_datetime(datetime.now(UTC) - older_than)
        chosen = {_HIDDEN: stream, "_id": {"$lt": until}}
        self._collection.update_many(chosen, {"$unset": {_HIDDEN: 1}})

    def oldest(self, flow_id: str) -> datetime | None:
        """Return when the oldest mark of a flow was made (UTC), or None where there is none."""
        found = self._collection.find_one(
            {"flow": flow_id, _HIDDEN: None}, {"_id": 1}, sort=[("_id", 1)]
        )
        return found["_id"].generation_time if found else None

    def read(self, flow_id: str, limit: int, after: Mark | None = None) -> list[Mark]:
        """Return at most ``limit`` marks of a flow, oldest first, and none before ``after``."""
        chosen: dict[str, Any] = {"flow": flow_id, _HIDDEN: None}
        if after is not None:
            chosen["_id"] = {"$gt": after.id}
        found = self._collection.find(chosen).sort("_id", 1).limit(limit)
        return [Mark(mark["_id"], tuple(mark["partitions"])) for mark in found]

    def remove(self, marks: Iterable[Mark]) -> int:
        """Remove exactly these marks; return how many were still there."""
        ids = [mark.id for mark in marks]
        removed = 0
        for start in range(0, len(ids), _IDS_AT_ONCE):
            chosen = {"_id": {"$in": ids[start : start + _IDS_AT_ONCE]}}
            removed += self._collection.delete_many(chosen).deleted_count
        return removed
