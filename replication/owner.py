"""What the owner of a stream does: copy everything once, then follow the changes."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from replication.changes import Batch
from replication.errors import FailureKind, HistoryLost, ReplicationError, describe, sort_failure
from replication.estuary import MongoEndpoint
from replication.lease import LeaseKeeper
from replication.patience import Patience
from replication.position import Phase, Position
from replication.snapshot import Snapshot
from replication.spec import StreamSpec
from replication.streams import MongoDBStream, StartPoint


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
        self._idle_save = idle_save.total_seconds()
        self._log = log
        self._stream: MongoDBStream | None = None
        self._saved_at = time.monotonic()
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
            self._close_stream()

    def _mend(self, error: Exception, attempt: int) -> None:
        """Do what a failure of a step needs before the next one, or raise it."""
        kind = sort_failure(error)
        if kind is FailureKind.TRANSIENT:
            self._patience.pause(attempt, error)
        elif kind is FailureKind.HISTORY_LOST and self._spec.snapshot_again:
            self._log.warning("history_lost", error=describe(error))
            self._lost_generation = self._endpoint.position.generation
            self._close_stream()
        else:
            raise error

    def _step(self) -> None:
        position = self._endpoint.position
        moved = position.scope_hash != self._spec.scope_hash
        if moved and position.scope_hash and not self._spec.snapshot_again:
            raise HistoryLost("The saved position belongs to another destination of this flow.")
        anew = moved or position.generation == self._lost_generation
        if anew or position.phase is not Phase.STREAM:
            self._snapshot.run(anew=anew)
        else:
            self._follow(position)

    def _follow(self, position: Position) -> None:
        if self._stream is None:
            start = StartPoint(position.token, position.cluster_time)
            self._stream = MongoDBStream(self._source, start)
        batch = self._stream.read()
        fields = fields_after(batch, position)
        if batch.events:
            try:
                self._endpoint.apply(batch, fields)
            except BaseException:
                # What was read is not committed: whoever goes on reads it again.
                self._close_stream()
                raise
            self._saved_at = time.monotonic()
            self._log.debug("batch_applied", events=batch.events, writes=len(batch.writes))
        elif self._should_save(position, batch):
            self._endpoint.save(fields)
            self._saved_at = time.monotonic()
        self._keeper.report(error=None, caught_up_at=batch.caught_up_at)

    def _should_save(self, position: Position, batch: Batch) -> bool:
        """A quiet collection's token must move too, or its history is lost one day."""
        if position.consistent_since is None:
            return True
        due = time.monotonic() - self._saved_at >= self._idle_save
        return due and batch.token != position.token

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.close()
            except PyMongoError as error:
                # The server ends the cursor by itself after a while.
                self._log.info("change_stream_close_failed", error=describe(error))


def fields_after(batch: Batch, position: Position) -> dict[str, Any]:
    """Return what the position says once ``batch`` has been applied."""
    fields: dict[str, Any] = {
        "token": batch.token,
        "events": position.events + batch.events,
        "position_at": batch.position_at,
    }
    if batch.events:
        fields |= {"cluster_time": batch.cluster_time, "last_event_at": batch.last_event_at}
    if position.consistent_since is None:
        end, reached = position.snapshot_end, batch.cluster_time
        passed = end is not None and reached is not None and reached >= end
        if passed or batch.caught_up_at is not None:
            fields["consistent_since"] = datetime.now(UTC)
    return fields
