"""Looks at several clusters at once, so that a dead one delays nobody."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

import pymongo
import structlog
from django.db import DatabaseError, connections
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from replication.errors import ReplicationError, describe

log = structlog.get_logger(__name__)

_LOOK = 1.5  # seconds for one cluster
_SHORT_LOOK = 0.3  # for one that was not there the last time: the others wait for it
_LONG_LOOKS = 8  # one look of so many at such a cluster has the whole time
_LONGEST_LOOK = 6.0  # for one that has more to do than it can: it would never be seen else
_AT_ONCE = 16

Place = TypeVar("Place")
Seen = TypeVar("Seen")


class LookTimes:
    """How long to look at each place, by how the looks before have ended."""

    def __init__(self) -> None:
        self._absent: dict[object, int] = {}  # how often in a row no server was there
        self._slow: dict[object, int] = {}  # and no answer came in time
        self._lock = threading.Lock()

    def time_for(self, place: object) -> float:
        """Return for how many seconds."""
        with self._lock:
            if self._absent.get(place, 0) % _LONG_LOOKS:
                return _SHORT_LOOK
            return float(min(_LONGEST_LOOK, _LOOK * 2 ** self._slow.get(place, 0)))

    def note(self, place: object, error: Exception | None) -> None:
        """Write down how a look ended; None: well."""
        absent = isinstance(error, ServerSelectionTimeoutError)
        slow = isinstance(error, PyMongoError) and error.timeout and not absent
        with self._lock:
            self._absent[place] = self._absent.get(place, 0) + 1 if absent else 0
            self._slow[place] = min(self._slow.get(place, 0) + 1, 10) if slow else 0


_times = LookTimes()


def look_at_all(looks: Mapping[Place, Callable[[], Seen]]) -> dict[Place, Seen]:
    """Call all of these at once, and return what they return.

    Each has 1.5 seconds, and up to 6 after it took too long. What cannot be seen is logged and
    left out.
    """

    def look(place: Place) -> list[tuple[Place, Seen]]:
        try:
            with pymongo.timeout(_times.time_for(place)):
                found = looks[place]()
        except (PyMongoError, ReplicationError, DatabaseError) as error:
            _times.note(place, error)
            log.warning("cluster_not_seen", place=str(place), error=describe(error))
            return []
        finally:
            connections.close_all()  # those of this thread
        _times.note(place, None)
        return [(place, found)]

    if not looks:
        return {}
    with ThreadPoolExecutor(min(len(looks), _AT_ONCE)) as pool:
        # Each in a context of its own: the log lines of all have one id.
        found = [pool.submit(copy_context().run, look, place) for place in looks]
        return dict(pair for future in found for pair in future.result())
