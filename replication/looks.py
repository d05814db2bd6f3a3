"""Looks at several clusters at once, so that a dead one delays nobody."""

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
_AT_ONCE = 16

Place = TypeVar("Place")
Seen = TypeVar("Seen")


def look_at_all(looks: Mapping[Place, Callable[[], Seen]]) -> dict[Place, Seen]:
    """Call all of these at once, each for 1.5 seconds at most, and return what they return.

    What cannot be seen is logged and left out.
    """

    def look(place: Place) -> list[tuple[Place, Seen]]:
        try:
            with pymongo.timeout(_LOOK):
                return [(place, looks[place]())]
        except (PyMongoError, ReplicationError, DatabaseError) as error:
            log.warning("cluster_not_seen", place=str(place), error=describe(error))
            return []
        finally:
            connections.close_all()  # those of this thread

    if not looks:
        return {}
    with ThreadPoolExecutor(min(len(looks), _AT_ONCE)) as pool:
        # Each in a context of its own: the log lines of all have one id.
        found = [pool.submit(copy_context().run, look, place) for place in looks]
        return dict(pair for future in found for pair in future.result())
