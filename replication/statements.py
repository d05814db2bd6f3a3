"""Write statements of raw BSON: what a batch says of a copy, in the fewest bytes and objects.

A statement is cut out of the bytes that came and sent as they are; nothing is decoded but what a
server refuses.
"""

import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from replication.blocks import Blocks
from replication.errors import WritesRefused
from replication.refusals import POISON_CODES, refusal_of
from replication.streams import RAW
from replication.throttle import StatementPace
from replication.transactions import sliced

# The last state of documents by key (a document of the ``_id``), None for one that is deleted.
Writes = Mapping[bytes, bytes | None]
Keyed = tuple[bytes, bytes]  # whose document a statement is about, and the statement's BSON

# A piece of a block is held three times on its way into a message.
_BYTES_OF_BLOCKS = 4 * 1024 * 1024
_UNKNOWN_CODE = 8
_pack, _length = struct.Struct("<i").pack, struct.Struct("<i").unpack_from
_UPSERT = b"\x08upsert\0\x01\0"
_ONE = b"\x10limit\0\x01\0\0\0\0"


class _Documents(RawBSONDocument):
    """Documents one behind the other, which the driver puts into a message as it would one.

    There they stand so anyway, and a Python object for each would cost as much as all the rest.
    Who looks into it, as a driver's debug log does, sees the first.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data[: _length(data)[0]])
        self._data = data

    @property
    def raw(self) -> bytes:
        """The bytes of all of them."""
        return self._data


class WriteError(NamedTuple):
    """What a server says of a write: the document's key, its own words, the answer's labels."""

    key: bytes
    error: Mapping[str, Any]
    labels: Sequence[str]

    @property
    def code(self) -> int:
        """The server's code."""
        return int(self.error["code"])


def upsert(key: bytes, document: bytes) -> bytes:
    """Return what replaces the document that ``key``, a query, finds, or inserts it."""
    size = _pack(len(key) + len(document) + 20)
    return b"".join((size, b"\x03q\0", key, b"\x03u\0", document, _UPSERT))


def deletion(key: bytes) -> bytes:
    """Return what deletes the one document that ``key``, a query, finds."""
    return b"".join((_pack(len(key) + 19), b"\x03q\0", key, _ONE))


class Writer(Protocol):
    """Writes documents of a copy; every writer's promises are those of PlainWriter."""

    def write(self, writes: Writes, session: ClientSession | None, *, fresh: bool = False) -> None:
        """Write documents, None for one that is gone."""

    def insert(
        self, documents: Iterable[tuple[bytes, bytes]], session: ClientSession | None
    ) -> None:
        """Insert documents, given with their keys."""


class PlainWriter:
    """Writes a copy's documents as they are, in a transaction."""

    def __init__(
        self,
        collection: Collection[RawBSONDocument],
        *,
        ordered: bool,
        pace: StatementPace | None = None,
    ) -> None:
        self._collection = collection
        self._ordered = ordered
        self._pace = pace or StatementPace()

    def write(self, writes: Writes, session: ClientSession | None, *, fresh: bool = False) -> None:
        """Send deletes first, as they can only make room for unique values, then the others.

        These go in the order of ``writes``. ``fresh`` deletes the documents that will be written
        too, and inserts them: then none of them is in another one's way.

        Raises:
            WritesRefused: the server does not take some of the documents.
        """
        gone = (key for key, document in writes.items() if fresh or document is None)
        self._send("delete", "deletes", ((key, deletion(key)) for key in gone), session)
        there = ((key, document) for key, document in writes.items() if document is not None)
        if fresh:
            self.insert(there, session)
            return
        updates = ((key, upsert(key, document)) for key, document in there)
        self._send("update", "updates", updates, session, ordered=self._ordered)

    def insert(
        self, documents: Iterable[tuple[bytes, bytes]], session: ClientSession | None
    ) -> None:
        """Insert documents, given with their keys. Raises as ``write`` does."""
        self._send("insert", "documents", documents, session, ordered=self._ordered)

    def insert_blocks(self, documents: Blocks, session: ClientSession | None) -> None:
        """Insert documents without a look at any. Raises as ``write`` does, but tells no keys."""
        for data, count in documents.pieces(lambda: self._pace.writes, _BYTES_OF_BLOCKS):
            began = time.monotonic()
            command = {
                "insert": self._collection.name,
                "documents": [_Documents(data)],
                "ordered": self._ordered,
            }
            errors, labels = _answered(self._collection, command, session)
            self._pace.note(count, time.monotonic() - began)
            raise_if_refused([WriteError(b"", error, labels) for error in errors])

    def _send(
        self,
        name: str,
        field: str,
        statements: Iterable[Keyed],
        session: ClientSession | None,
        *,
        ordered: bool = False,
    ) -> None:
        sized = ((len(each[1]), each) for each in statements)
        for chosen in sliced(sized, lambda: self._pace.writes):
            began = time.monotonic()
            refused = send(self._collection, name, field, chosen, session, ordered=ordered)
            self._pace.note(len(chosen), time.monotonic() - began)
            raise_if_refused(refused)


def send(
    collection: Collection[RawBSONDocument],
    name: str,
    field: str,
    statements: Sequence[Keyed],
    session: ClientSession | None,
    *,
    ordered: bool = False,
) -> list[WriteError]:
    """Send one write command, and return its write errors.

    Outside of a transaction the writes are acknowledged by a majority.

    Raises:
        PyMongoError: the command as a whole failed, or was not acknowledged.
    """
    command = {
        name: collection.name,
        field: [_Documents(b"".join([statement for _key, statement in statements]))],
        "ordered": ordered,
    }
    errors, labels = _answered(collection, command, session)
    return [WriteError(statements[error["index"]][0], error, labels) for error in errors]


def _answered(
    collection: Collection[RawBSONDocument],
    command: dict[str, Any],
    session: ClientSession | None,
) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return the write errors that a write command is answered with, and the answer's labels."""
    if session is None or not session.in_transaction:
        command["writeConcern"] = {"w": "majority"}
    reply = collection.database.command(command, session=session, codec_options=RAW)
    # The driver raises for neither of these. To commit all the same would end in 251 for ever.
    unsure = reply.get("writeConcernError")
    if unsure is not None:
        details = bson.decode(unsure.raw)
        raise OperationFailure("not acknowledged", details.get("code", _UNKNOWN_CODE), details)
    labels = list(reply.get("errorLabels", ()))
    return [bson.decode(each.raw) for each in reply.get("writeErrors", ())], labels


def raise_if_refused(errors: Sequence[WriteError]) -> None:
    """Raise for write errors, if there are any: first for one that is no document's fault."""
    if not errors:
        return
    passing = next((each for each in errors if each.code not in POISON_CODES), None)
    if passing is not None:
        raise WritesRefused(passing.error, passing.labels, {})
    refused = {each.key: refusal_of(each.code, each.error) for each in errors}
    raise WritesRefused(errors[0].error, errors[0].labels, refused)
