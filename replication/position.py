"""How far each stream has come: one document per stream, in the destination's control database.

The position is also the fence. Its ``epoch`` rises with every owner and its ``batch`` with every
commit, and the update that ends a transaction names both: an owner that has been succeeded cannot
commit, and a batch whose commit was answered by silence can be run again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, Self, TypeVar
from uuid import UUID

from bson import Timestamp
from bson.codec_options import CodecOptions
from pymongo import ReturnDocument, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from replication.config import MongoConfig
from replication.errors import Fenced
from replication.mongo import Client, new_mongo_client
from replication.spec import CONTROL_DATABASE
from replication.throughput import Recent

POSITIONS = "positions"
_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


class Fence(Protocol):
    """What every commit moves, and what refuses those that may not: see the module."""

    @property
    def key(self) -> str:
        """What it is stored under."""

    @property
    def epoch(self) -> int:
        """The number of its owner; each has a higher one than those before."""

    @property
    def batch(self) -> int:
        """The number of commits."""

    def moved(self, fields: Mapping[str, Any]) -> Self:
        """Return what it is after a commit that set ``fields``."""


Moved = TypeVar("Moved", bound=Fence)


class Phase(StrEnum):
    """What a stream is doing."""

    NEW = "new"  # nothing has been read yet
    SNAPSHOT = "snapshot"  # the first copy, or a repeated one
    STREAM = "stream"  # following the changes


@dataclass(frozen=True)
class Position:
    """A stream's position as it was last read or committed. Dates are aware (UTC)."""

    key: str
    epoch: int
    batch: int
    phase: Phase = Phase.NEW
    token: Mapping[str, Any] | None = None
    cluster_time: Timestamp | None = None  # of the last applied event
    scope_hash: str = ""
    shape_hash: str = ""
    events: int = 0  # change events applied since the flow began
    recent: Recent = ()  # and in each of the last minutes
    last_event_at: datetime | None = None
    position_at: datetime | None = None  # everything up to this moment has been applied
    consistent_since: datetime | None = None
    generation: int = 0  # counts snapshots
    snapshot_copied: int | None = None
    snapshot_total: int | None = None
    snapshot_end: Timestamp | None = None  # cluster time at the end of the copy's reading
    snapshot_began_at: datetime | None = None
    snapshots_asked: int = 0  # the administrators' requests that have been met
    skips_asked: int = 0
    skipped_at: datetime | None = None  # changes were left out then, and no snapshot since
    # Cluster time up to which looked-up states may already be in the copy (see lookups.py).
    looked_up_until: Timestamp | None = None
    indexes_at: datetime | None = None  # when the source's indexes were created in the copy
    indexes_left_out: Sequence[str] = ()  # those that could not be, and why
    guarantee: str = ""  # of the copy as it is now (see guard.Guarantee)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Position":
        """Read a stored position; fields that it lacks have their defaults."""
        known = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
        known["phase"] = Phase(document.get("phase", Phase.NEW))
        return cls(key=document["_id"], **known)

    def moved(self, fields: Mapping[str, Any]) -> "Position":
        """Return the position after a commit that set ``fields``."""
        return replace(self, batch=self.batch + 1, **fields)


def control_database(client: Client) -> Database[dict[str, Any]]:
    """Return the database of positions, leases and marks, written by majority."""
    return client.get_database(
        CONTROL_DATABASE, codec_options=_AWARE, write_concern=WriteConcern("majority")
    )


class Tracker(Generic[Moved]):
    """Reads and moves what fences commits; ``read`` makes it of a stored document."""

    def __init__(
        self, collection: Collection[dict[str, Any]], read: Callable[[Mapping[str, Any]], Moved]
    ) -> None:
        self._positions = collection
        self._read = read

    def load(self, key: str) -> Moved | None:
        """Return what is stored under ``key``, or None when there is nothing yet."""
        found = self._positions.find_one({"_id": key})
        return None if found is None else self._read(found)

    def take_over(self, key: str, epoch: int) -> Moved:
        """Raise the epoch to the new owner's, and return the position to go on from.

        Raises:
            Fenced: a later owner has been here already, or there is nothing left to own.
        """
        found = self._positions.find_one_and_update(
            {"_id": key, "epoch": {"$lte": epoch}},
            {"$set": {"epoch": epoch}},
            return_document=ReturnDocument.AFTER,
        )
        if found is None:
            raise Fenced(f"A later owner than epoch {epoch} has taken over {key}.")
        return self._read(found)

    def advance(
        self, position: Moved, fields: Mapping[str, Any], *, session: ClientSession | None = None
    ) -> bool:
        """Set ``fields`` and count the batch, if the position is still the given one.

        In a transaction this is the last statement: it is what decides whether to commit.
        """
        stored = {"batch": position.batch + 1, **fields}
        result = self._positions.update_one(
            {"_id": position.key, "epoch": position.epoch, "batch": position.batch},
            {"$set": stored},
            session=session,
        )
        return result.matched_count == 1

    def after_refusal(self, position: Moved) -> Moved:
        """Tell why ``advance`` found another position than expected.

        Returns:
            The new position, when the very batch had been committed before its answer was lost.

        Raises:
            Fenced: another owner moved the position, or removed it.
        """
        found = self.load(position.key)
        if found and (found.epoch, found.batch) == (position.epoch, position.batch + 1):
            return found
        raise Fenced(f"Epoch {position.epoch} of {position.key} is no longer the current one.")


class MongoTracker(Tracker[Position]):
    """Reads and moves the positions of streams."""

    def __init__(self, database: Database[dict[str, Any]], collection: str = POSITIONS) -> None:
        super().__init__(database.get_collection(collection), Position.from_document)

    def ensure(self, key: str, flow_id: UUID) -> Position:
        """Return a stream's position, a new one if it has none yet."""
        found = self.load(key)
        if found is not None:
            return found
        fresh = {"_id": key, "flow": str(flow_id), "epoch": 0, "batch": 0, "phase": Phase.NEW.value}
        try:
            self._positions.insert_one(fresh)
        except DuplicateKeyError:  # another worker was as quick
            return self.ensure(key, flow_id)
        return Position.from_document(fresh)


def new_mongo_tracker(config: MongoConfig) -> MongoTracker:
    """Return a tracker with a client of its own for ``config.database`` and ``.collection``.

    Raises:
        InvalidConfiguration: every problem of the configuration at once.
    """
    client = new_mongo_client(config)
    database = client.get_database(
        config.database or CONTROL_DATABASE,
        codec_options=_AWARE,
        write_concern=WriteConcern("majority"),
    )
    return MongoTracker(database, config.collection or POSITIONS)
