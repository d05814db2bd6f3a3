"""Differences are repaired beside a running flow, and never undo what it writes.

A repair reads the flow's position first and the source after that, so the source's state is at
least as new as everything that the position stands for. Then one transaction on the destination
reads the documents again, writes those that are still what was compared, and ends by touching the
very position it began with. A batch of the flow that commits in between has moved the position,
or conflicts with the touch: either way one of the two is run again, on top of the other. Comparing
the documents alone would not do, as a batch may leave a document in the bytes that it had.
"""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from replication.errors import Fenced, PoisonEvent, ReplicationError, describe
from replication.estuary import MongoEndpoint
from replication.guard import Guarantee
from replication.guarded_repairs import GuardedRepairs
from replication.keys import OrderKey, id_of, key_document, order_key
from replication.mongo import Client
from replication.position import MongoTracker, Position, control_database
from replication.settling import Difference, hashed
from replication.sides import Side, sides
from replication.spec import StreamSpec
from replication.streams import raw_collection
from replication.transactions import FencedTransactions

log = structlog.get_logger(__name__)

_TOGETHER = 100  # documents in one transaction: short, so that the flow rarely meets it
_TRIES = 30
_PAUSE = 0.2  # seconds, at most, between two attempts


class CannotRepair(ReplicationError):
    """The flow has no copy that could be repaired, or gave no chance to."""


@dataclass(frozen=True)
class Repaired:
    """How many documents are equal now, and how many the destination refuses.

    The others have changed since they were compared: they are the flow's to bring, or another
    run's.
    """

    repaired: int = 0
    refused: int = 0

    def __add__(self, other: "Repaired") -> "Repaired":
        return Repaired(self.repaired + other.repaired, self.refused + other.refused)


class Repairs:
    """Copies and removes documents of one flow, with marks for their partitions."""

    def __init__(
        self, source: Collection[RawBSONDocument], client: Client, spec: StreamSpec
    ) -> None:
        self._source = source
        self._client = client
        self._spec = spec
        self._copy = raw_collection(client, spec.destination)
        self._tracker = _TouchingTracker(control_database(client))

    def repair(self, differences: Sequence[Difference]) -> Repaired:
        """Bring the source's state of these documents to the destination.

        Raises:
            CannotRepair: the flow has not begun, or commits without a pause.
            PyMongoError: a side does not answer. What is committed is right.
        """
        result = Repaired()
        for start in range(0, len(differences), _TOGETHER):
            chosen = differences[start : start + _TOGETHER]
            try:
                result += self._together(chosen)
            except PoisonEvent:
                for one in chosen:  # to find the one that is refused
                    result += self._alone(one)
        log.info("differences_repaired", flow=self._spec.flow_name, documents=result.repaired)
        return result

    def _alone(self, difference: Difference) -> Repaired:
        try:
            return self._together([difference])
        except PoisonEvent as error:
            log.warning("repair_refused", flow=self._spec.flow_name, code=error.code)
            return Repaired(refused=1)

    def _together(self, differences: Sequence[Difference]) -> Repaired:
        for _ in range(_TRIES):
            try:
                return self._once(differences)
            except Fenced:  # the flow has committed something meanwhile
                _pause(1, None)
        raise CannotRepair(
            f"The flow {self._spec.flow_name!r} commits all the time: repair in a quieter hour."
        )

    def _once(self, differences: Sequence[Difference]) -> Repaired:
        position = self._tracker.load(self._spec.key)
        if position is None or not position.generation:
            raise CannotRepair(
                f"The flow {self._spec.flow_name!r} has not copied anything yet: start it."
            )
        keys = [each.key for each in differences]
        source, copy = sides(self._spec, self._source, self._copy, position.guarantee)
        current = source.read(keys)
        wanted = {order_key(id_of(each.key)): each for each in differences}
        # What changed since it was compared is on its way with the flow.
        wanted = {
            place: each
            for place, each in wanted.items()
            if hashed(current.get(place)) == each.source
        }
        if position.guarantee == Guarantee.GUARDED:
            guarded = GuardedRepairs(self._client, self._spec, position)
            return Repaired(*guarded.repair(wanted, current))
        return self._in_a_transaction(position, copy, wanted, current)

    def _in_a_transaction(
        self,
        position: Position,
        copy: Side,
        wanted: Mapping[OrderKey, Difference],
        current: Mapping[OrderKey, bytes],
    ) -> Repaired:
        done = 0

        def work(session: ClientSession | None) -> None:
            nonlocal done
            done = 0
            there = copy.read([each.key for each in wanted.values()], session)
            writes: dict[bytes, bytes | None] = {}
            for place, each in wanted.items():
                found, document = there.get(place), current.get(place)
                if found == document:  # a commit whose answer was lost
                    done += 1
                elif hashed(found) == each.destination:
                    writes |= _writes(found, document)
                    done += 1
            endpoint.repair(writes, session)

        with self._client.start_session() as session:
            transactions = FencedTransactions(session, self._tracker, position, pause=_pause)
            endpoint = MongoEndpoint(self._client, self._spec, transactions)
            endpoint.know_letters()
            endpoint.commit(work, {})
        return Repaired(repaired=done)


class _TouchingTracker(MongoTracker):
    """Ends a transaction by touching the position, so that it conflicts with its owner's commits.

    The epoch and the batch stay what they are: the owner goes on undisturbed.
    """

    def advance(
        self, position: Position, fields: Mapping[str, Any], *, session: ClientSession | None = None
    ) -> bool:
        result = self._positions.update_one(
            {"_id": position.key, "epoch": position.epoch, "batch": position.batch},
            {"$set": {"repaired_at": datetime.now(UTC), **fields}},
            session=session,
        )
        return result.matched_count == 1

    def after_refusal(self, position: Position) -> Position:
        raise Fenced(f"The position of {position.key} has moved.")


def _writes(found: bytes | None, document: bytes | None) -> dict[bytes, bytes | None]:
    writes: dict[bytes, bytes | None] = {}
    if found is not None and (document is None or key_document(found) != key_document(document)):
        # Also for an _id in another type: no update changes that.
        writes[key_document(found)] = None
    if document is not None:
        writes[key_document(document)] = document
    return writes


def _pause(attempt: int, error: BaseException | None) -> None:
    if attempt >= _TRIES and isinstance(error, PyMongoError):
        raise error
    if error is not None:
        log.info("repair_tried_again", attempt=attempt, error=describe(error))
    time.sleep(random.uniform(_PAUSE / 10, _PAUSE))  # noqa: S311 - jitter
