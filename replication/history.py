"""How long a source still keeps the changes after a position."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import structlog
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from replication.errors import SnapshotOutlastsHistory, describe
from replication.mongo import Client
from replication.position import Position
from replication.progress import SnapshotProgress
from replication.spec import StreamSpec

log = structlog.get_logger(__name__)

_FULL = 0.95  # of what the log may hold; from there on its oldest entries go
_LONG = timedelta(days=3650)
_LOOK_SECONDS = 5.0
# A snapshot that ends sooner than this is not watched, and a longer one once in so long.
_SHORTEST = timedelta(minutes=1)
_PERIOD = 60.0  # seconds


def history_left(source: Client, position: Position) -> timedelta | None:
    """Return how long the source will keep what comes after ``position``, if it goes on as it did.

    None where that cannot be known: Azure has no log that could be looked at, and elsewhere the
    identity needs the right to read ``local.oplog.rs`` with its statistics. Where the server is
    told to keep a minimum of hours it may be longer.
    """
    since = position.position_at or _moment(position.cluster_time) or position.snapshot_began_at
    if since is None:
        return None
    entries = source["local"]["oplog.rs"]
    try:
        with pymongo.timeout(_LOOK_SECONDS):
            oldest, newest = _end(entries, 1), _end(entries, -1)
            statistics = next(iter(entries.aggregate([{"$collStats": {"storageStats": {}}}])), {})
    except PyMongoError as error:
        log.debug("history_not_known", error=describe(error))
        return None
    share = _share(statistics.get("storageStats", {}))
    if oldest is None or newest is None or share is None:
        return None
    until_full = (newest - oldest) * (1 / share - 1) if share < _FULL else timedelta()
    return max(timedelta(), min(_LONG, since - oldest + until_full))


class HistoryWatch:
    """Stops a snapshot that would end after the source has forgotten the changes since its begin.

    ``position`` and ``progress`` tell where it stands.
    """

    def __init__(
        self,
        source: Client,
        spec: StreamSpec,
        *,
        position: Callable[[], Position],
        progress: Callable[[], SnapshotProgress | None],
    ) -> None:
        self._source = source
        self._spec = spec
        self._position = position
        self._progress = progress
        self._looked = time.monotonic()

    def check(self) -> None:
        """Look, if it is time to.

        Raises:
            SnapshotOutlastsHistory: it cannot end in time, and the flow does not allow that.
        """
        now = time.monotonic()
        if self._spec.beyond_history or now - self._looked < _PERIOD:
            return
        self._looked = now
        progress = self._progress()
        if progress is None or progress.left is None or progress.left < _SHORTEST:
            return
        left = history_left(self._source, self._position())
        if left is not None and left < progress.left:
            raise SnapshotOutlastsHistory(
                f"The snapshot needs about {_rounded(progress.left)} more, but the source will keep"
                f" the changes since its begin for {_rounded(left)} only: let the source keep a"
                " longer history, add workers for the queue 'snapshots', or let the flow go on"
                " beyond history; then resume it."
            )


def _end(entries: Collection[dict[str, Any]], direction: int) -> datetime | None:
    found = entries.find_one({}, {"ts": 1}, sort=[("$natural", direction)])
    return None if found is None else _moment(found["ts"])


def _share(statistics: Mapping[str, Any]) -> float | None:
    """Return how full the log is, of its bytes or of its entries, or None if nobody says."""
    shares = [
        statistics[used] / statistics[most]
        for used, most in (("size", "maxSize"), ("count", "max"))
        if statistics.get(used) and statistics.get(most, 0) > 0
    ]
    return max(shares, default=None)


def _moment(cluster_time: Any) -> datetime | None:
    return None if cluster_time is None else cluster_time.as_datetime().astimezone(UTC)


def _rounded(time_left: timedelta) -> str:
    return str(timedelta(seconds=round(time_left.total_seconds())))
