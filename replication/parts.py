"""Parts of a snapshot, each a position of its own, kept until the snapshot is complete.

Whoever holds a part's lease copies it, and commits what it copies with the part's document. Its
epoch and batch fence that as a stream's position fences a batch: two workers on one part copy
nothing twice, and a snapshot that begins anew takes the parts of the one before out of existence.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from bson import Binary, ObjectId
from pymongo.client_session import ClientSession
from pymongo.database import Database

from replication.lease import LEASES, Leases
from replication.position import Tracker
from replication.spans import EVERY_BRACKET, Span
from replication.spec import StreamSpec

PARTS = "parts"


@dataclass(frozen=True)
class Part:
    """A part of a snapshot: the documents of a span, copied up to ``last``."""

    key: str
    stream: str
    flow: str
    collection: str  # in the source
    number: int
    scope_hash: str = ""  # of the stream as it was planned for
    shape_hash: str = ""
    epoch: int = 0
    batch: int = 0
    span: Span = field(default_factory=Span)
    fresh: bool = False  # the copy was empty: nothing has to be compared
    sweeps: bool = False  # what the source lacks is removed from the copy
    copied: int = 0  # documents of the source
    last: bytes | None = None  # the last key that is done with, as a document
    done: bool = False
    rate: float = 0.0  # documents per second lately
    moved_at: datetime | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Part":
        """Read a stored part."""
        known = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
        span = Span(document["lower"], document["upper"], tuple(document["brackets"]))
        return cls(key=document["_id"], **known | {"span": span})

    def fits(self, spec: StreamSpec) -> bool:
        """Whether it was planned for a stream as it is now.

        A worker that has slept while a flow was changed must not copy to another destination,
        nor what is to be hidden now.
        """
        return (self.scope_hash, self.shape_hash) == (spec.scope_hash, spec.shape_hash)

    def moved(self, fields: Mapping[str, Any]) -> "Part":
        """Return the part after a commit that set ``fields``."""
        return replace(self, batch=self.batch + 1, **fields)


class Parts(Tracker[Part]):
    """The parts of streams' snapshots, in a destination's control database."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        super().__init__(database.get_collection(PARTS), Part.from_document)
        self._leases = database.get_collection(LEASES)

    def plan(
        self,
        spec: StreamSpec,
        spans: Sequence[Span],
        session: ClientSession | None,
        *,
        fresh: bool,
        sweeps: bool,
    ) -> None:
        """Forget an earlier snapshot's parts and begin anew.

        Like ``clear`` it belongs into a transaction that ends with the stream's position: an
        owner that was succeeded must not touch its successor's parts.
        """
        self.clear(spec.key, session)
        # A name that no part ever had: a worker of an earlier one can commit nothing.
        name = f"{spec.key}#{ObjectId()}"
        self._positions.insert_many(
            [
                {
                    "_id": f"{name}/{number}",
                    "stream": spec.key,
                    "flow": str(spec.flow_id),
                    "collection": spec.source.collection,
                    "number": number,
                    "scope_hash": spec.scope_hash,
                    "shape_hash": spec.shape_hash,
                    "epoch": 0,
                    "batch": 0,
                    "lower": _stored(span.lower),
                    "upper": _stored(span.upper),
                    "brackets": list(span.brackets or EVERY_BRACKET),
                    "fresh": fresh,
                    "sweeps": sweeps,
                    "copied": 0,
                    "done": False,
                }
                for number, span in enumerate(spans)
            ],
            session=session,
        )

    def clear(self, stream: str, session: ClientSession | None) -> None:
        """Forget the parts of a snapshot that is complete."""
        self._positions.delete_many({"stream": stream}, session=session)

    def forget_leases(self, stream: str) -> None:
        """Remove the leases of a stream's parts; whoever still works on one leaves."""
        self._leases.delete_many({"_id": {"$regex": f"^{re.escape(stream)}#"}})

    def of(self, stream: str) -> list[Part]:
        """Return a stream's parts in order. A snapshot without any has to begin anew."""
        found = map(Part.from_document, self._positions.find({"stream": stream}))
        return sorted(found, key=lambda part: part.number)

    def of_flows(self, flow_ids: Iterable[UUID]) -> list[Part]:
        """Return the parts of all streams of these flows."""
        found = self._positions.find({"flow": {"$in": [str(each) for each in flow_ids]}})
        return [Part.from_document(document) for document in found]

    def unfinished(self) -> list[Part]:
        """Return the parts of all streams that are not done."""
        return [Part.from_document(found) for found in self._positions.find({"done": False})]


def without_lease(parts: Iterable[Part], leases: Leases) -> list[Part]:
    """Return those parts that nobody works on."""
    parts = list(parts)
    states = leases.states([part.key for part in parts]) if parts else {}
    return [part for part in parts if part.key not in states or not states[part.key].live]


def _stored(key: bytes | None) -> Binary | None:
    return None if key is None else Binary(key)
