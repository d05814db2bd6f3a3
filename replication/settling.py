"""Suspected differences are looked at again, until they are certain or gone.

Two sides are never read at one moment, and a running flow is always a little behind. So a
difference counts only when both sides stood still around a moment that the flow has passed: the
source, because then no event of the document is on its way; the destination, because then none
has just arrived.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from replication.keys import id_of, order_key
from replication.lease import Leases
from replication.lookups import IDS_PER_QUERY
from replication.mongo import Client
from replication.position import MongoTracker, control_database
from replication.ranges import Kind
from replication.sides import Side
from replication.spec import StreamSpec


@dataclass(frozen=True)
class Pace:
    """How long to wait for a flow. Times are in seconds."""

    # By which two machines' clocks may differ, and a change stream may be late in showing changes.
    margin: float = 1.0
    patience: float = 60.0  # for the flow to pass a moment
    without_owner: float = 10.0  # until a flow that nobody works on counts as standing still
    look: float = 0.1  # between looks
    tries: int = 6  # readings of a document that keeps changing


@dataclass(frozen=True)
class Difference:
    """A document that differs: its ``_id`` as a document, and what was seen on each side."""

    kind: Kind
    key: bytes
    source: bytes | None  # a hash of the document, None where there is none
    destination: bytes | None


class FlowWatch:
    """Sees whether a flow runs, and when it has passed a moment."""

    def __init__(self, client: Client, spec: StreamSpec, pace: Pace) -> None:
        control = control_database(client)
        self._tracker = MongoTracker(control)
        self._leases = Leases.seen_in(control)
        self._key = spec.key
        self._pace = pace
        self._stands_still = False

    def running(self) -> bool:
        """Whether somebody works on the flow now."""
        lease = self._leases.states([self._key]).get(self._key)
        return lease is not None and lease.live

    def wait_until_passed(self, moment: float) -> bool:
        """Wait until the copy holds what the source had at ``moment`` (seconds since the epoch).

        Returns True at once for a flow that nobody works on, as no waiting would change the
        copy; False when a running flow does not get there.
        """
        began = owned = time.monotonic()
        while not self._stands_still:
            now = time.monotonic()
            lease = self._leases.states([self._key]).get(self._key)
            position = self._tracker.load(self._key)
            seen = [position.position_at if position else None]
            if lease is not None and lease.live:
                owned = now
                seen.append(lease.caught_up_at)
            reached = max((at.timestamp() for at in seen if at), default=0.0)
            if reached >= moment + self._pace.margin:
                return True
            # Between two slices nobody has the lease for a moment.
            self._stands_still = now - owned >= self._pace.without_owner
            if now - began >= self._pace.patience:
                return False
            time.sleep(self._pace.look)
        return True


@dataclass(frozen=True)
class Settled:
    """What became of suspicions: certain differences, and documents that never stood still."""

    differences: tuple[Difference, ...]
    unsettled: tuple[bytes, ...]


def settle(
    keys: Iterable[bytes],
    source: Side,
    destination: Side,
    passed: Callable[[float], bool],
    *,
    tries: int,
) -> Settled:
    """Read documents on both sides until what differs is certain, at most ``tries`` times.

    ``passed`` waits until the flow has passed a moment, and tells whether it has.

    Raises:
        PyMongoError: a side does not answer.
    """
    pending = list(keys)
    certain: list[Difference] = []
    for _ in range(tries):
        before = {each.key: each for each in _compare(pending, source, destination)}
        if not before:
            return Settled(tuple(certain), ())
        if not passed(time.time()):
            return Settled(tuple(certain), tuple(before))
        # The source is read again last: what it still holds then, it held when the flow passed.
        after = list(_compare(list(before), source, destination))
        stable = [each for each in after if before[each.key] == each]
        certain += stable
        known = {each.key for each in stable}
        pending = [each.key for each in after if each.key not in known]
    return Settled(tuple(certain), tuple(pending))


def hashed(document: bytes | None) -> bytes | None:
    """Return what two equal documents have in common, and no two others."""
    return None if document is None else blake2b(document, digest_size=16).digest()


def _compare(
    keys: Sequence[bytes],
    source: Side,
    destination: Side,
) -> Iterator[Difference]:
    for start in range(0, len(keys), IDS_PER_QUERY):
        asked = keys[start : start + IDS_PER_QUERY]
        there = destination.read(asked)
        here = source.read(asked)
        for key in asked:
            place = order_key(id_of(key))
            left, right = hashed(here.get(place)), hashed(there.get(place))
            if left != right:
                kind = Kind.CHANGED
                if left is None or right is None:
                    kind = Kind.EXTRA if left is None else Kind.MISSING
                yield Difference(kind, key, left, right)
