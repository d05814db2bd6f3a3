"""Documents that are looked up, and what that means for the events that are still on their way.

An update's document is looked up by the source when it sends the event, so it may be ahead of the
event: later changes are in it already. Their own events follow, and an insert or a replacement
brings the document as it was then. Applied as it is, it would take the copy back. So what is known
of each look-up is the time that the source had reached, and an event up to that time is answered
by another look-up, which is never behind the first. Cluster times are numbers here, as in
``wire.Event``.
"""

from array import array
from collections.abc import Collection as Keys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from replication.keys import id_of, key_document, order_key

# SecantusDB's time for {$in: …} grows with the square of its length.
IDS_PER_QUERY = 100
# How many keys one stream remembers exactly, each a hundred bytes. What is beyond, after a long
# pause of the flow, goes into a table that takes some others' keys for them.
_KEYS_REMEMBERED = 50_000
_TABLE_SIZE = 2**21  # entries of four bytes
# A source that does not tell its time may have reached any.
UNKNOWN_TIME = 2**64 - 1


class Ahead:
    """Which keys of the copy may be ahead of the stream, all of them ``until`` a time at first.

    Keys are told apart by their hash, and two with the same one mean a look-up too many. Beyond
    ``remembered`` keys there are more of those. Not safe to be used by several threads at once.
    """

    def __init__(
        self, until: Timestamp | None = None, *, remembered: int = _KEYS_REMEMBERED
    ) -> None:
        self._remembered = remembered
        self._all_until = 0 if until is None else from_timestamp(until)
        self._until: dict[int, int] = {}  # in the order of the times
        self._table: array[int] | None = None  # of seconds, by a part of the hash
        self._table_until = 0
        self._pending: frozenset[int] = frozenset()
        self._since_asked: set[int] = set()

    def includes(self, key: bytes, time: int) -> bool:
        """Whether the copy may hold a later state of ``key`` than an event of that time."""
        if time <= self._all_until:
            return True
        if not (self._until or self._pending or self._table):
            return False
        hashed = hash(key)
        if time <= self._until.get(hashed, 0) or hashed in self._pending:
            return True
        return self._table is not None and time >> 32 <= self._table[hashed % _TABLE_SIZE]

    def note(self, key: bytes, until: int) -> None:
        """Note that ``key`` was looked up when the source had reached at most ``until``."""
        hashed = hash(key)
        known = self._until.pop(hashed, 0)
        self._until[hashed] = max(known, until)
        if len(self._until) > self._remembered:
            self._spill()

    def _spill(self) -> None:
        table = self._table = self._table or array("I", bytes(4 * _TABLE_SIZE))
        for hashed, until in self._until.items():
            place = hashed % _TABLE_SIZE
            table[place] = max(table[place], until >> 32)
            self._table_until = max(self._table_until, until)
        self._until.clear()

    def asked(self) -> None:
        """Note that the source is asked for events now."""
        self._since_asked = set(self._pending)

    def overtakes(self, key: bytes) -> bool:
        """Whether ``key`` may have been looked up later than the source did for its last answer."""
        return bool(self._since_asked) and hash(key) in self._since_asked

    def begin(self, keys: Keys[bytes]) -> None:
        """Note that ``keys`` are being looked up: any event of theirs may be in it already."""
        self._pending = frozenset(map(hash, keys))
        self._since_asked |= self._pending

    def end(self, keys: Keys[bytes], until: int) -> None:
        """Note that the look-up has ended, when the source had reached at most ``until``."""
        for key in keys:
            self.note(key, until)
        self._pending = frozenset()

    def passed(self, time: int) -> None:
        """Forget what the stream, which is at ``time`` now, has caught up with."""
        if time > self._all_until:
            self._all_until = 0
        if time >> 32 > self._table_until >> 32:
            self._forget_table()
        while self._until:
            oldest = next(iter(self._until))
            if self._until[oldest] >= time:
                break
            del self._until[oldest]

    def caught_up(self) -> None:
        """Forget the look-ups at an unknown time: the source has nothing more to send.

        Those that were made since it was asked stay.
        """
        if self._since_asked:
            return
        if self._all_until == UNKNOWN_TIME:
            self._all_until = 0
        if self._table_until == UNKNOWN_TIME:
            self._forget_table()
        for hashed in [each for each, until in self._until.items() if until == UNKNOWN_TIME]:
            del self._until[hashed]

    def _forget_table(self) -> None:
        self._table, self._table_until = None, 0


@dataclass(frozen=True)
class Found:
    """Documents by the keys that were asked for, None where there is none.

    ``until`` is the latest time at which the source may have been asked.
    """

    documents: Mapping[bytes, bytes | None]
    until: int


class DocumentLookup:
    """Reads documents of the source as they are now, if they match ``query``."""

    def __init__(
        self, collection: Collection[RawBSONDocument], query: Mapping[str, Any] | None = None
    ) -> None:
        # What the source could still lose in a failover must not become a copy.
        self._collection = collection.with_options(read_concern=ReadConcern("majority"))
        self._query = query or {}

    def find(self, keys: Sequence[bytes]) -> Found:
        """Look up documents by their keys, documents of ``_id`` alone.

        Raises:
            PyMongoError: the source does not answer.
        """
        documents: dict[bytes, bytes | None] = {}
        with self._collection.database.client.start_session(causal_consistency=False) as session:
            for start in range(0, len(keys), IDS_PER_QUERY):
                documents |= self._find(keys[start : start + IDS_PER_QUERY], session)
            return Found(documents, time_of(session))

    def _find(self, keys: Sequence[bytes], session: ClientSession) -> dict[bytes, bytes | None]:
        options = self._collection.codec_options
        ids = [RawBSONDocument(key, options)["_id"] for key in keys]
        chosen = {"_id": {"$in": ids}, **self._query}
        found = [bytes(document.raw) for document in self._collection.find(chosen, session=session)]
        present = {key_document(document): document for document in found}
        if not all(key in keys for key in present):
            # Equal numbers of two types are one _id, and not the same bytes.
            places = {order_key(id_of(key)): document for key, document in present.items()}
            return {key: places.get(order_key(id_of(key))) for key in keys}
        return {key: present.get(key) for key in keys}


def time_of(session: ClientSession) -> int:
    """Return the time that the source had reached when it last answered in ``session``."""
    reached = session.operation_time
    return UNKNOWN_TIME if reached is None else from_timestamp(reached)


def from_timestamp(time: Timestamp) -> int:
    """Return a cluster time as a number."""
    return time.time << 32 | time.inc


def to_timestamp(time: int) -> Timestamp:
    """Return a number as the cluster time that it is."""
    return Timestamp(time >> 32, time & 0xFFFFFFFF)
