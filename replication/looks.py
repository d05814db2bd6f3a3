"""Looks at several clusters at once, so that a dead one delays nobody."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

import pymongo
import structlog
from django.db import DatabaseError, connections
from pymongo.errors import PyMongoError

from replication.errors import ReplicationError, describe

log = structlog.get_logger(__name__)

_LOOK = 1.5  # seconds for one cluster
_SHORT_LOOK = 0.3  # for one that did not answer the last time, so that the others wait less for it
_LONG_LOOKS = 8  # one look of so many at such a cluster has the whole time
_AT_ONCE = 16

Place = TypeVar("Place")
Seen = TypeVar("Seen")


class _Unseen:
    """How often in a row each place could not be seen by this process."""

    def __init__(self) -> None:
        self._times: dict[object, int] = {}
        self._lock = threading.Lock()

    def time_for(self, place: object) -> float:
        """Return how long to look, in seconds."""
        with self._lock:
            return _LOOK if self._times.get(place, 0) % _LONG_LOOKS == 0 else _SHORT_LOOK

    def note(self, place: object, *, seen: bool) -> None:
        """Write down how a look ended."""
        with self._lock:
            if seen:
                self._times.pop(place, None)
            else:
                self._times[place] = self._times.get(place, 0) + 1


_unseen = _Unseen()


def look_at_all(looks: Mapping[Place, Callable[[], Seen]]) -> dict[Place, Seen]:
    """Call all of these at once, each for 1.5 seconds at most, and return what they return.

    What cannot be seen is logged and left out.
    """

    def look(place: Place) -> list[tuple[Place, Seen]]:
        try:
            with pymongo.timeout(_unseen.time_for(place)):
                found = looks[place]()
        except (PyMongoError, ReplicationError, DatabaseError) as error:
            _unseen.note(place, seen=False)
            log.warning("cluster_not_seen", place=str(place), error=describe(error))
            return []
        finally:
            connections.close_all()  # those of this thread
        _unseen.note(place, seen=True)
        return [(place, found)]

    if not looks:
        return {}
    with ThreadPoolExecutor(min(len(looks), _AT_ONCE)) as pool:
        # Each in a context of its own: the log lines of all have one id.
        found = [pool.submit(copy_context().run, look, place) for place in looks]
        return dict(pair for future in found for pair in future.result())
