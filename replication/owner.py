"""What the owner of a stream does: copy everything once, then follow the changes."""

from datetime import UTC, datetime, timedelta
from typing import NoReturn

import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from replication.errors import FailureKind, HistoryLost, ReplicationError, describe, sort_failure
from replication.estuary import MongoEndpoint
from replication.following import Following
from replication.lease import LeaseKeeper
from replication.patience import Patience
from replication.position import Phase, Position
from replication.snapshot import Snapshot
from replication.spec import StreamSpec
from replication.streams import current_point


class Owner:
    """Works on a stream until its ``patience`` ends. Everything committed is in the position."""

    def __init__(
        self,
        spec: StreamSpec,
        source: Collection[RawBSONDocument],
        endpoint: MongoEndpoint[Position],
        snapshot: Snapshot,
        keeper: LeaseKeeper,
        patience: Patience,
        *,
        idle_save: timedelta,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._spec = spec
        self._source = source
        self._endpoint = endpoint
        self._snapshot = snapshot
        self._keeper = keeper
        self._patience = patience
        self._log = log
        self._following = Following(
            spec,
            source,
            endpoint,
            patience.throttle,
            idle_save=idle_save.total_seconds(),
            log=log,
        )
        self._lost_generation: int | None = None

    def work(self) -> NoReturn:
        """Go on for ever.

        Raises:
            Interrupted, LeaseLost, Fenced: somebody else's turn; what is committed stands.
            Exception: what neither waiting nor a new snapshot can mend.
        """
        attempt = 0
        try:
            while True:
                self._patience.check()
                try:
                    self._step()
                    attempt = 0
                except (PyMongoError, ReplicationError) as error:
                    attempt += 1
                    self._mend(error, attempt)
        finally:
            self._following.close()

    def _mend(self, error: Exception, attempt: int) -> None:
        """Do what a failure of a step needs before the next one, or raise it."""
        kind = sort_failure(error)
        if kind is FailureKind.TRANSIENT:
            self._patience.pause(attempt, error)
        elif kind is FailureKind.HISTORY_LOST and self._spec.snapshot_again:
            self._log.warning("history_lost", error=describe(error))
            self._lost_generation = self._endpoint.position.generation
            self._following.close()
        else:
            raise error

    def _step(self) -> None:
        position, spec = self._endpoint.position, self._spec
        moved = position.scope_hash != spec.scope_hash
        if moved and position.scope_hash and not spec.snapshot_again:
            raise HistoryLost("The saved position belongs to another destination of this flow.")
        anew = (
            moved
            or position.shape_hash != spec.shape_hash
            or position.snapshots_asked < spec.snapshots_asked
            or position.generation == self._lost_generation
        )
        if anew or position.phase is not Phase.STREAM:
            self._following.close()
            self._snapshot.run(anew=anew)
            self._lost_generation = None
        elif position.skips_asked < spec.skips_asked:
            self._skip()
        else:
            self._follow()

    def _skip(self) -> None:
        """Leave out all changes up to now, as an administrator has asked."""
        self._following.close()
        start, now = current_point(self._source), datetime.now(UTC)
        self._endpoint.save(
            {
                "token": start.token,
                "cluster_time": start.cluster_time,
                "position_at": now,
                "consistent_since": None,
                "skipped_at": now,
                "skips_asked": self._spec.skips_asked,
                "looked_up_until": None,
            }
        )
        self._log.warning("changes_skipped")

    def _follow(self) -> None:
        batch = self._following.step()
        if batch is not None:
            self._keeper.report(error=None, caught_up_at=batch.caught_up_at)
