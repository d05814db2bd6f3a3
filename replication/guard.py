"""Writes for destinations without transactions: each document holds the moment that wrote it.

Every write is conditional: it happens if the document there is from an earlier moment, so an owner
that was succeeded cannot take a document back, and a batch can be written again. A deleted document
leaves a tombstone for an hour, or a late write would bring it back. The position is saved after the
writes. Between the two a reader may see half a batch: that is what transactions would prevent.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import bson
from bson import Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from replication.keys import in_other_bytes, key_document
from replication.mongo import Client
from replication.position import Moved, Position
from replication.refusals import refusal_of
from replication.rules import without
from replication.spec import StreamSpec, WriteMode
from replication.statements import (
    Keyed,
    WriteError,
    Writes,
    deletion,
    raise_if_refused,
    send,
    upsert,
)
from replication.transactions import FencedCommits, Work, sliced

GUARD_FIELD = "_replicated"
TOMBSTONE_FIELD = "_replicated_deleted_at"
_TOMBSTONE_LIFE = timedelta(hours=1)
_SWEPT_AT_ONCE = 100  # SecantusDB's time for {$in: …} grows with the square of its length
_SWEPT_IN_A_ROW = 5_000
_PASSES = 4  # over what a unique index refuses, as one document may wait for another one
_DUPLICATE = frozenset({11000, 11001})
_pack = struct.Struct("<i").pack


class Guarantee(StrEnum):
    """What a flow promises of its copy."""

    EXACTLY_ONCE = "exactly once"  # every state of the copy is one that the source had
    GUARDED = "guarded"  # no document goes back; a reader may see half of a batch


def guarantee_of(spec: StreamSpec, destination: Client) -> Guarantee:
    """Return what a flow can promise: by its write mode, or by what its destination can do.

    Raises:
        PyMongoError: the destination does not answer.
    """
    if spec.write_mode is WriteMode.AUTOMATIC:
        hello = destination.admin.command("hello")
        able = "setName" in hello or hello.get("msg") == "isdbgrid"
        return Guarantee.EXACTLY_ONCE if able else Guarantee.GUARDED
    guarded = spec.write_mode is WriteMode.GUARDED
    return Guarantee.GUARDED if guarded else Guarantee.EXACTLY_ONCE


class GuardedCommits(FencedCommits[Moved]):
    """Does work without a transaction, and moves the position after it.

    Of what raises, some of the writes may be there: they may be done again.
    """

    def _once(self, work: Work, fields: Mapping[str, Any]) -> Moved:
        # Not all work is guarded itself: an owner that was succeeded should notice before it.
        found = self._tracker.load(self.position.key)
        if found is None or (found.epoch, found.batch) != (
            self.position.epoch,
            self.position.batch,
        ):
            return self._tracker.after_refusal(self.position)
        work(None)
        return self._alone(fields)


@dataclass(frozen=True)
class Moment:
    """When a document was written, in the order of the source: what decides between two writes.

    A snapshot's is before every change that follows it, and after all that an earlier one, of this
    flow or another, has left in the copy. Two batches of one cluster time are told apart by their
    owners, and by the order in which an owner wrote them.
    """

    snapshot: int  # when it began, in seconds since 1970
    time: Timestamp | None = None
    epoch: int = 0
    ordinal: int = 0

    @classmethod
    def after_snapshot(
        cls, position: Position | None, time: Timestamp | None = None, *, ordinal: int = 0
    ) -> "Moment":
        """Return the moment of changes up to ``time``, by the owner whose ``position`` it is."""
        if position is None:
            return cls(0)
        snapshot = cls.of_snapshot(position).snapshot
        return cls(snapshot, time or position.cluster_time, position.epoch, ordinal)

    @classmethod
    def of_snapshot(cls, position: Position | None) -> "Moment":
        """Return the moment of what the last snapshot of a stream copies."""
        began = position.snapshot_began_at if position else None
        return cls(int(began.timestamp()) if began else 0)

    def __str__(self) -> str:
        # Of one length, so that its order as a text is that of its parts.
        time = f"{self.time.time:08x}{self.time.inc:08x}" if self.time else "0" * 16
        return f"{self.snapshot:08x}-{time}-{self.epoch:08x}-{self.ordinal:08x}"


class GuardedWriter:
    """Writes documents unless the copy has them from a later moment."""

    def __init__(self, collection: Collection[RawBSONDocument], moment: Moment) -> None:
        self._collection = collection
        text = str(moment)
        self._earlier = _field(GUARD_FIELD, {"$not": {"$gte": text}})
        self._mark = mark_of(text)

    def write(self, writes: Writes, session: ClientSession | None, *, fresh: bool = False) -> None:
        """Write documents, tombstones first. ``fresh`` takes what is refused out of the way.

        Raises:
            WritesRefused: the server does not take some of the documents.
        """
        there = {key: _copied(document) for key, document in writes.items()}
        gone = [key for key, document in there.items() if document is None]
        documents = {key: each for key, each in there.items() if each is not None}
        # Deleted as 1 and inserted as 1.0: what would stay of the one would keep the other out.
        returned = in_other_bytes(gone, documents)
        raise_if_refused(self._delete(returned))
        dead = (key for key in gone if key not in returned)
        refused = self._send((key, tombstone(key, self._mark)) for key in dead)
        if refused:
            # Two tombstones can be alike to a unique index: then without one.
            raise_if_refused(self._delete(each.key for each in refused))
        errors = self._upsert(documents)
        for _ in range(_PASSES):
            # One document may wait for another one, or only be insertable.
            again = [each.key for each in errors if _may_pass(each, fresh=fresh)]
            if not again:
                break
            waiting = {key: documents[key] for key in again}
            errors = [each for each in errors if each.key not in waiting]
            errors += self._reinsert(waiting) if fresh else self._upsert(waiting)
        raise_if_refused(errors)

    def insert(
        self, documents: Iterable[tuple[bytes, bytes]], session: ClientSession | None
    ) -> None:
        """Insert documents, or write them where there is one. Raises as ``write`` does."""
        new = (_copied(document) for _key, document in documents)
        stored = (marked(document, self._mark) for document in new if document is not None)
        inserts = ((key_document(document), document) for document in stored)
        for chosen in _cut(inserts):
            errors = send(self._collection, "insert", "documents", chosen, None)
            present = {each.key for each in errors if _is_stale(each)}
            raise_if_refused([each for each in errors if each.key not in present])
            if present:
                self.write({key: each for key, each in chosen if key in present}, None)

    def _reinsert(self, documents: Mapping[bytes, bytes]) -> list[WriteError]:
        raise_if_refused(self._delete(documents))
        inserts = ((key, marked(each, self._mark)) for key, each in documents.items())
        return self._sent("insert", "documents", inserts)

    def _upsert(self, documents: Mapping[bytes, bytes]) -> list[WriteError]:
        return self._send((key, marked(each, self._mark)) for key, each in documents.items())

    def _send(self, documents: Iterable[tuple[bytes, bytes]]) -> list[WriteError]:
        updates = ((key, upsert(self._query(key), document)) for key, document in documents)
        return self._sent("update", "updates", updates)

    def _delete(self, keys: Iterable[bytes]) -> list[WriteError]:
        return self._sent("delete", "deletes", ((key, deletion(self._query(key))) for key in keys))

    def _sent(self, name: str, field: str, statements: Iterable[Keyed]) -> list[WriteError]:
        """Send statements; return what is refused, and not for being late."""
        return [
            error
            for chosen in _cut(statements)
            for error in send(self._collection, name, field, chosen, None)
            if not _is_stale(error)
        ]

    def _query(self, key: bytes) -> bytes:
        return _with_field(key, self._earlier)


def mark_of(text: str) -> bytes:
    """Return the field that says when a document was written, ready to be put into one."""
    return _field(GUARD_FIELD, text)


def marked(document: bytes, mark: bytes) -> bytes:
    """Return a document with this mark, and without another one."""
    return _with_field(without(document, GUARD_FIELD), mark)


def tombstone(key: bytes, mark: bytes) -> bytes:
    """Return what stays of a deleted document, whose ``key`` is a document of the ``_id``."""
    dead = _field(TOMBSTONE_FIELD, datetime.now(UTC))
    return _with_field(_with_field(key, mark), dead)


def prepare_guarded(collection: Collection[Any]) -> None:
    """Create what sweeping tombstones needs to be quick."""
    collection.create_index(TOMBSTONE_FIELD, sparse=True)


def sweep_tombstones(collection: Collection[RawBSONDocument]) -> int:
    """Remove tombstones that are older than any write that could still come; return how many."""
    old = {TOMBSTONE_FIELD: {"$lt": datetime.now(UTC) - _TOMBSTONE_LIFE}}
    found = [each["_id"] for each in collection.find(old, {"_id": 1}).limit(_SWEPT_IN_A_ROW)]
    chunks = (found[at : at + _SWEPT_AT_ONCE] for at in range(0, len(found), _SWEPT_AT_ONCE))
    return sum(
        collection.delete_many({"_id": {"$in": chosen}, **old}).deleted_count for chosen in chunks
    )


def unguarded(documents: Iterable[bytes]) -> Iterator[bytes]:
    """Yield documents as their source has them: without the extra field, and no tombstones."""
    for document in documents:
        copied = _copied(document)
        if copied is not None:
            yield without(copied, GUARD_FIELD)


def _copied(document: bytes | None) -> bytes | None:
    """Return a document, None for what is a tombstone in a source that is a guarded copy itself."""
    if document is not None and TOMBSTONE_FIELD.encode() in document:
        return None if TOMBSTONE_FIELD in RawBSONDocument(document) else document
    return document


def _is_stale(error: WriteError) -> bool:
    """Whether a conditional write found the document from a later moment, and tried to insert."""
    if error.code not in _DUPLICATE:
        return False
    pattern = error.error.get("keyPattern")
    if pattern is not None:
        return list(pattern) == ["_id"]
    return "index: _id_ " in str(error.error.get("errmsg"))


def _may_pass(error: WriteError, *, fresh: bool) -> bool:
    """Whether a document that was refused may be taken after others, or when it is inserted."""
    refusal = refusal_of(error.code)
    return refusal.by_unique_index or (fresh and refusal.by_kind_of_write)


def _cut(statements: Iterable[Keyed]) -> Iterator[Sequence[Keyed]]:
    return sliced((len(each[1]), each) for each in statements)


def _field(name: str, value: object) -> bytes:
    return bson.encode({name: value})[4:-1]


def _with_field(document: bytes, field: bytes) -> bytes:
    return b"".join((_pack(len(document) + len(field)), document[4:-1], field, b"\0"))
