"""Repairs of a guarded copy: each document on its own, if it still is what was compared.

What a repair writes is just later than what it found, and earlier than any change that follows.
"""

from collections.abc import Mapping

from bson.raw_bson import RawBSONDocument
from pymongo import WriteConcern
from pymongo.errors import DuplicateKeyError, OperationFailure

from replication.errors import FailureKind, sort_failure
from replication.guard import GUARD_FIELD, Moment, mark_of, marked, tombstone, unguarded
from replication.keys import OrderKey
from replication.marks import Marks, TouchedPartitions
from replication.mongo import Client
from replication.position import Position, control_database
from replication.settling import Difference, hashed
from replication.spec import StreamSpec
from replication.streams import RAW, raw_collection

# Behind a moment's text, it sorts before every later moment.
_REPAIRED = "r"


class GuardedRepairs:
    """Writes the source's state of single documents into a guarded copy."""

    def __init__(self, client: Client, spec: StreamSpec, position: Position) -> None:
        self._copy = raw_collection(client, spec.destination).with_options(
            write_concern=WriteConcern("majority")
        )
        self._marks = Marks(control_database(client))
        self._spec = spec
        self._at = str(Moment.after_snapshot(position))

    def repair(
        self, wanted: Mapping[OrderKey, Difference], current: Mapping[OrderKey, bytes]
    ) -> tuple[int, int]:
        """Write the ``current`` documents; return how many are right now, and how many refused.

        Raises:
            PyMongoError: the destination does not answer.
        """
        repaired = refused = 0
        for place, difference in wanted.items():
            try:
                repaired += self._one(difference, current.get(place))
            except OperationFailure as error:
                if sort_failure(error) is not FailureKind.POISON:
                    raise
                refused += 1
        return repaired, refused

    def _one(self, difference: Difference, document: bytes | None) -> bool:
        identifier = RawBSONDocument(difference.key, RAW)["_id"]
        raw = self._copy.find_one({"_id": identifier})
        found = None if raw is None else next(unguarded([bytes(raw.raw)]), None)
        if found == document:
            return True
        if hashed(found) != difference.destination:
            return False  # the flow's to bring
        touched = TouchedPartitions(self._spec.partition_fields)
        touched.add(each for each in (found, document) if each is not None)
        flow = str(self._spec.flow_id)
        hidden = self._marks.append_hidden(touched, flow_id=flow, stream=self._spec.key)
        written = self._write(raw, difference.key, document)
        self._marks.show(hidden)
        return written

    def _write(self, raw: RawBSONDocument | None, key: bytes, document: bytes | None) -> bool:
        known = None if raw is None else raw.get(GUARD_FIELD)
        mark = mark_of(f"{known or self._at}{_REPAIRED}")
        new = RawBSONDocument(tombstone(key, mark) if document is None else marked(document, mark))
        if raw is not None:
            as_found = {"_id": raw["_id"], GUARD_FIELD: known}  # None finds a document without
            return self._copy.replace_one(as_found, new).matched_count == 1
        try:
            self._copy.insert_one(new)
        except DuplicateKeyError as error:
            if list((error.details or {}).get("keyPattern", {})) == ["_id"]:
                return False  # the flow has brought it meanwhile
            raise
        return True
