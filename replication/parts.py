"""Parts of a snapshot and how far each has come, kept until the snapshot is complete."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import bson
from pymongo.client_session import ClientSession
from pymongo.database import Database

PARTS = "parts"
# BSON's order of types, which is the order of a scan by _id. A comparison in a filter finds only
# values of the same bracket, so a scan that goes on needs the brackets above it by name.
_BRACKETS: tuple[tuple[str, ...], ...] = (
    ("minKey",),
    ("null",),
    ("int", "long", "double", "decimal"),
    ("string", "symbol"),
    ("object",),
    ("binData",),
    ("objectId",),
    ("bool",),
    ("date",),
    ("timestamp",),
    ("maxKey",),
)
_ALIASES = {
    0xFF: "minKey",
    0x0A: "null",
    0x10: "int",
    0x12: "long",
    0x01: "double",
    0x13: "decimal",
    0x02: "string",
    0x0E: "symbol",
    0x03: "object",
    0x05: "binData",
    0x07: "objectId",
    0x08: "bool",
    0x09: "date",
    0x11: "timestamp",
    0x7F: "maxKey",
}


@dataclass(frozen=True)
class Part:
    """A part of a snapshot: documents in order of ``_id``, copied up to ``last``."""

    number: int
    copied: int = 0
    last: tuple[Any, ...] = ()  # the last copied _id, none before the first
    done: bool = False

    def filters(self) -> Iterator[dict[str, Any]]:
        """Yield filters whose results, each sorted by ``_id``, are what is left to copy.

        Flat ones, because not every server plans the others.
        """
        if not self.last:
            yield {}
            return
        (last,) = self.last
        alias = _ALIASES[bson.encode({"_id": last})[4]]
        yield {"_id": {"$gt": last}}
        bracket = next(index for index, names in enumerate(_BRACKETS) if alias in names)
        higher = [name for names in _BRACKETS[bracket + 1 :] for name in names]
        if higher:
            yield {"_id": {"$type": higher}}


class Parts:
    """The parts of one stream's snapshot, in the destination's control database."""

    def __init__(self, database: Database[dict[str, Any]], key: str) -> None:
        self._parts = database.get_collection(PARTS)
        self._key = key

    def plan(self, session: ClientSession) -> None:
        """Forget an earlier snapshot's parts and begin anew: today with one part of everything.

        Like every change of the parts it belongs into a transaction that ends with the position:
        an owner that was succeeded must not touch its successor's parts.
        """
        self._parts.delete_many({"stream": self._key}, session=session)
        self._parts.insert_one(
            {"_id": f"{self._key}#0", "stream": self._key, "number": 0, "copied": 0, "done": False},
            session=session,
        )

    def planned(self) -> bool:
        """Whether there are any parts. A snapshot without them has to begin anew."""
        return self._parts.find_one({"stream": self._key}, {"_id": 1}) is not None

    def unfinished(self) -> list[Part]:
        """Return the parts that are not done, in order."""
        found = self._parts.find({"stream": self._key, "done": False})
        parts = (
            Part(part["number"], part["copied"], (part["last"],) if "last" in part else ())
            for part in found
        )
        return sorted(parts, key=lambda part: part.number)

    def save(self, part: Part, session: ClientSession) -> None:
        """Record how far a part has come, in the transaction of what it copied."""
        fields: dict[str, Any] = {"copied": part.copied, "done": part.done}
        if part.last:
            (fields["last"],) = part.last
        self._parts.update_one(
            {"_id": f"{self._key}#{part.number}"}, {"$set": fields}, session=session
        )

    def clear(self, session: ClientSession) -> None:
        """Forget the parts of a snapshot that is complete."""
        self._parts.delete_many({"stream": self._key}, session=session)
