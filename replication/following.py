"""Following the changes: batches are read ahead, shaped, and committed with the position."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from replication.changes import Batch
from replication.errors import TooEarly, describe
from replication.estuary import MongoEndpoint
from replication.indexes import copy_indexes
from replication.metrics import count_batch
from replication.position import Position
from replication.readahead import ReadAhead
from replication.rules import shaper
from replication.spec import StreamSpec
from replication.streams import MongoDBStream, StartPoint
from replication.throttle import Throttle
from replication.throughput import counted

_TAKE = 0.5  # seconds to wait for a batch, between looks at whether to go on
_LETTERS = 3.0  # seconds between looks for dead letters to try again
# The same while changes wait: each attempt costs their batch some attempts of its own, and a flow
# that does nothing else would never catch up.
_LETTERS_BEHIND = 60.0
# How often a batch is held back for the changes that follow.
_JOINS = 3
# An embedded server's change stream shows changes up to 0.2 s late.
_LATE = timedelta(seconds=0.3)


class Following:
    """Applies what comes after the position of ``endpoint``, a batch with each ``step``.

    ``idle_save`` (seconds) is how often the position of a quiet collection is saved.
    """

    def __init__(
        self,
        spec: StreamSpec,
        source: Collection[RawBSONDocument],
        endpoint: MongoEndpoint[Position],
        throttle: Throttle,
        *,
        idle_save: float,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._spec = spec
        self._source = source
        self._endpoint = endpoint
        self._throttle = throttle
        self._idle_save = idle_save
        self._log = log
        self._shape = shaper(spec)
        self._stream: MongoDBStream | None = None
        self._reader: ReadAhead | None = None
        self._opened_at = datetime.now(UTC)
        self._waiting: Batch | None = None  # for the changes that follow it
        self._joined = 0
        self._saved_at = self._letters_at = time.monotonic()

    def step(self) -> Batch | None:
        """Apply what has come, and return it; None when nothing has, for half a second.

        Raises:
            PyMongoError, ReplicationError: call again to go on; what is committed stands.
        """
        stream, reader = self._opened()
        stream.limits = self._throttle.limits
        self._retry_letters(stream)
        batch = reader.take(_TAKE)
        if batch is None:
            return None
        if self._waiting is not None:
            batch, self._waiting = self._waiting.joined(batch), None
        if batch.writes or batch.events:
            self._apply(batch)
        else:
            self._save(batch)
        self._copy_indexes()
        return batch

    def close(self) -> None:
        """Forget what is not committed: whoever goes on reads it again."""
        reader, self._reader, self._stream = self._reader, None, None
        self._waiting, self._joined = None, 0
        if reader is not None:
            reader.close()

    def _opened(self) -> tuple[MongoDBStream, ReadAhead]:
        if self._stream is None or self._reader is None:
            position = self._endpoint.position
            self._stream = MongoDBStream(
                self._source,
                StartPoint(position.token, position.cluster_time),
                limits=self._throttle.limits,
                looked_up_until=position.looked_up_until,
                query=self._spec.query(),
            )
            self._reader = ReadAhead(self._stream)
            self._opened_at = datetime.now(UTC)
        return self._stream, self._reader

    def _apply(self, batch: Batch) -> None:
        may_wait = batch.caught_up_at is None and self._joined < _JOINS
        fields = self._fields_after(batch)
        try:
            self._endpoint.apply(self._shaped(batch), fields, may_wait=may_wait)
        except TooEarly as error:
            self._waiting = batch
            self._joined += 1
            self._log.info("batch_held_back", writes=len(batch.writes), reason=describe(error))
            return
        except BaseException:
            self.close()
            raise
        self._joined = 0
        self._saved_at = time.monotonic()
        source = self._spec.source.collection
        count_batch(self._spec.flow_name, source, events=batch.events, size=batch.size)
        self._log.debug("batch_applied", events=batch.events, writes=len(batch.writes))

    def _save(self, batch: Batch) -> None:
        """Move a quiet collection's token too, or its history is lost one day."""
        fields = self._fields_after(batch)
        due = time.monotonic() - self._saved_at >= self._idle_save
        if "consistent_since" in fields or (due and batch.token != self._endpoint.position.token):
            self._endpoint.save(fields)
            self._saved_at = time.monotonic()

    def _copy_indexes(self) -> None:
        position = self._endpoint.position
        if self._spec.copy_indexes and position.consistent_since and position.indexes_at is None:
            left_out = copy_indexes(self._source, self._endpoint.copy, self._spec.rules)
            self._endpoint.save(
                {"indexes_at": datetime.now(UTC), "indexes_left_out": list(map(str, left_out))}
            )

    def _shaped(self, batch: Batch) -> Batch:
        shape = self._shape
        if shape is None:
            return batch
        return batch.shaped(shape)

    def _retry_letters(self, stream: MongoDBStream) -> None:
        now = time.monotonic()
        if now - self._letters_at >= (_LETTERS if stream.caught_up else _LETTERS_BEHIND):
            self._letters_at = now
            keys = self._endpoint.keys_to_retry()
            if keys:
                self._log.info("dead_letters_retried", documents=len(keys))
                stream.look_up(keys)

    def _fields_after(self, batch: Batch) -> dict[str, Any]:
        """Return what the position says once ``batch`` has been applied."""
        position = self._endpoint.position
        fields: dict[str, Any] = {
            "token": batch.token,
            "events": position.events + batch.events,
            "position_at": batch.position_at,
        }
        if batch.events:
            fields |= {
                "cluster_time": batch.cluster_time,
                "last_event_at": batch.last_event_at,
                "recent": counted(position.recent, batch.events, datetime.now(UTC)),
            }
        if batch.looked_up_until is not None:
            known = position.looked_up_until or batch.looked_up_until
            fields["looked_up_until"] = max(known, batch.looked_up_until)
        if position.consistent_since is None and position.skipped_at is None:
            end, reached = position.snapshot_end, batch.cluster_time
            passed = end is not None and reached is not None and reached >= end
            at = batch.caught_up_at
            if passed or (at is not None and at >= self._opened_at + _LATE):
                fields["consistent_since"] = datetime.now(UTC)
        return fields
