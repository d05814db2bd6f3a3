"""Who works on a stream: a document that is renewed while its owner lives.

The lease decides who should work; the fence in the position decides who can. So renewing it is a
courtesy to successors, and giving it up late does no harm. Times are the server's, because the
clocks of two workers may differ by more than a lease.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any
from uuid import UUID

import structlog
from bson import Binary
from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from replication.errors import Interrupted, describe

log = structlog.get_logger(__name__)

LEASES = "leases"
# Server sessions of earlier owners, whose open transactions a successor ends.
_SESSIONS_KEPT = 20
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
# SecantusDB finds no date less than $$NOW, so both are compared as numbers.
_EXPIRED = {"$lt": [{"$toLong": "$expires"}, {"$toLong": "$$NOW"}]}


@dataclass(frozen=True)
class Grant:
    """A lease that was taken. ``number`` grows with every owner of the stream."""

    key: str
    number: int
    session: Binary  # of this owner
    predecessors: tuple[Binary, ...]  # ids of their server sessions


@dataclass(frozen=True)
class LeaseState:
    """What can be seen of a lease from outside."""

    live: bool
    error: str | None  # what its owner is struggling with
    caught_up_at: datetime | None


class Leases:
    """The leases in one destination's control database."""

    def __init__(self, database: Database[dict[str, Any]], *, lifetime: timedelta) -> None:
        self._leases = database.get_collection(LEASES)
        milliseconds = int(lifetime.total_seconds() * 1000)
        # As numbers too: SecantusDB's faster server adds none to a date.
        self._end = {"$toDate": {"$add": [{"$toLong": "$$NOW"}, milliseconds]}}
        self.lifetime = lifetime

    @classmethod
    def seen_in(cls, database: Database[dict[str, Any]]) -> "Leases":
        """Return the leases for looking only."""
        return cls(database, lifetime=timedelta())

    def acquire(self, key: str, flow_id: UUID, *, session: Binary, seed: int) -> Grant | None:
        """Take the lease if nobody holds it; ``session`` will be the owner's server session.

        ``seed`` is the position's epoch: numbers go on above it even if the leases were lost.
        """
        try:
            self._leases.update_one(
                {"_id": key},
                {
                    "$setOnInsert": {
                        "flow": str(flow_id),
                        "number": seed,
                        "expires": _LONG_AGO,
                        "sessions": [],
                    }
                },
                upsert=True,
            )
        except DuplicateKeyError:
            log.debug("lease_seeded_by_another", stream=key)
        sessions = {"$concatArrays": ["$sessions", [session]]}
        taken = self._leases.find_one_and_update(
            {"_id": key, "$expr": _EXPIRED},
            [
                {
                    "$set": {
                        "number": {"$add": ["$number", 1]},
                        "expires": self._end,
                        "sessions": {"$slice": [sessions, -_SESSIONS_KEPT]},
                        "error": None,
                        "caught_up_at": None,
                    }
                }
            ],
            return_document=ReturnDocument.AFTER,
        )
        if taken is None:
            return None
        others = tuple(other for other in taken["sessions"] if bytes(other) != bytes(session))
        return Grant(key, taken["number"], session, others)

    def renew(self, grant: Grant, notes: Mapping[str, Any]) -> bool:
        """Extend the lease and store what its owner reports. False: it has a new owner."""
        result = self._leases.update_one(
            {"_id": grant.key, "number": grant.number},
            [{"$set": {"expires": self._end, **notes}}],
        )
        return result.matched_count == 1

    def release(self, grant: Grant, *, error: str | None) -> None:
        """End the lease now, so that a successor need not wait for it to expire.

        ``error`` is why the owner leaves, if something is wrong: then a transaction of its session
        may still be open, as after a commit that was refused, and the successor ends it.

        An owner that leaves in order has nothing open, and the driver will use its session for
        something else: no successor may end it.
        """
        change: dict[str, Any] = {"$set": {"expires": _LONG_AGO, "error": error}}
        if error is None:
            change["$pull"] = {"sessions": grant.session}
        self._leases.update_one({"_id": grant.key, "number": grant.number}, change)

    def states(self, keys: Iterable[str]) -> dict[str, LeaseState]:
        """Return the leases of these streams by key; a stream without one is left out."""
        return self._seen({"_id": {"$in": list(keys)}})

    def of_flows(self, flow_ids: Iterable[UUID]) -> dict[str, LeaseState]:
        """Return the leases of all streams of these flows, by key."""
        return self._seen({"flow": {"$in": [str(flow_id) for flow_id in flow_ids]}})

    def _seen(self, chosen: Mapping[str, Any]) -> dict[str, LeaseState]:
        found = self._leases.aggregate([{"$match": chosen}, {"$set": {"expired": _EXPIRED}}])
        return {
            lease["_id"]: LeaseState(
                live=not lease["expired"],
                error=lease.get("error"),
                caught_up_at=lease.get("caught_up_at"),
            )
            for lease in found
        }


class LeaseKeeper:
    """Renews a lease in a thread for as long as the ``with`` block lasts, then releases it."""

    def __init__(self, leases: Leases, grant: Grant) -> None:
        self._leases = leases
        self._grant = grant
        self._notes: dict[str, Any] = {"error": None, "caught_up_at": None}
        self._stop = threading.Event()
        self._lost = threading.Event()
        # In the context of the slice, so that the log lines of both have one id.
        self._thread = threading.Thread(
            target=copy_context().run,
            args=(self._renew_until_stopped,),
            name="lease-keeper",
            daemon=True,
        )

    def __enter__(self) -> "LeaseKeeper":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        wrong = None if error is None or isinstance(error, Interrupted) else describe(error)
        if not self._lost.is_set():
            try:
                self._leases.release(self._grant, error=wrong)
            except PyMongoError as failure:
                # It expires by itself; the successor waits for that.
                log.warning("lease_release_failed", stream=self._grant.key, error=describe(failure))

    @property
    def lost(self) -> bool:
        """Whether the lease has a new owner, or could not be renewed for its whole life."""
        return self._lost.is_set()

    def report(self, *, error: str | None, caught_up_at: datetime | None) -> None:
        """Leave a note that the next renewal stores, for those who look at the flow."""
        self._notes = {
            "error": None if error is None else {"$literal": error},
            "caught_up_at": caught_up_at,
        }

    def _renew_until_stopped(self) -> None:
        lifetime = self._leases.lifetime.total_seconds()
        renewed = time.monotonic()
        while not self._stop.wait(lifetime / 4):
            asked = time.monotonic()
            try:
                if not self._leases.renew(self._grant, self._notes):
                    log.warning("lease_taken_over", stream=self._grant.key)
                    self._lost.set()
                    return
                renewed = asked
            except PyMongoError as failure:
                log.warning("lease_renewal_failed", stream=self._grant.key, error=describe(failure))
                if time.monotonic() - renewed > lifetime:
                    self._lost.set()
                    return
