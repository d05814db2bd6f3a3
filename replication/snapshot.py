"""The copy of everything that is there, after which the stream goes on from where it began.

The position is saved before the first document is read, so no change falls between the copy and
the stream. The collection is cut into parts, which this stream's owner copies one after the
other, and other workers beside it; each goes on where it was when its worker is killed. A
repeated snapshot removes what the source no longer has.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from replication.errors import Fenced, LeaseLost, describe
from replication.estuary import MongoEndpoint
from replication.history import HistoryWatch
from replication.lease import Leases
from replication.mongo import Client
from replication.part_worker import PartWorker
from replication.parts import Part, Parts, without_lease
from replication.planning import Splitting, plan_spans
from replication.position import Phase, Position, control_database
from replication.preparing import PrepareCopy
from replication.progress import SnapshotProgress, progress_of
from replication.spec import StreamSpec
from replication.streams import current_point, operation_time, raw_collection

log = structlog.get_logger(__name__)

_COUNT_MILLISECONDS = 10_000
_LOOK = 0.2  # seconds between looks at the parts that others copy


class Snapshot:
    """Copies one collection, resumable after every chunk.

    ``go_on`` is called between chunks; it raises when this worker should leave.
    """

    def __init__(
        self,
        worker: PartWorker,
        endpoint: MongoEndpoint[Position],
        *,
        go_on: Callable[[], None],
        splitting: Splitting | None = None,
        prepare_copy: PrepareCopy | None = None,
    ) -> None:
        self._worker = worker
        self._prepare_copy = prepare_copy
        self._source = worker.source
        self._endpoint = endpoint
        self._spec: StreamSpec = worker.spec
        self._go_on = go_on
        self._splitting = splitting or Splitting()
        self._parts = Parts(control_database(worker.destination))
        self._leases = Leases.seen_in(control_database(worker.lease_client))
        self._history = HistoryWatch(
            cast("Client", worker.source.database.client),
            self._spec,
            position=lambda: endpoint.position,
            progress=self._progress,
        )
        self._log = log.bind(flow=self._spec.flow_name)

    def run(self, *, anew: bool) -> None:
        """Begin, or go on with what an earlier run began unless ``anew``, and finish.

        Afterwards the position's phase is STREAM and its token is the one from before the copy.

        Raises:
            SnapshotOutlastsHistory: it would end too late.
            PyMongoError, Fenced, PoisonEvent: what is committed stays; run again to go on.
        """
        begun = self._endpoint.position.phase is Phase.SNAPSHOT and self._parts.of(self._spec.key)
        if anew or not begun:
            self._begin()
        while left := self._unfinished():
            self._wanted()
            if not self._copy_one_of(left):
                time.sleep(_LOOK)  # others are at all of them
        self._finish()

    def _begin(self) -> None:
        self._endpoint.prepare()
        start = current_point(self._source)
        position = self._endpoint.position
        # Another destination may hold what is not this flow's: only its own copy is ever swept.
        same = position.scope_hash == self._spec.scope_hash
        generation = position.generation + 1 if same else 1
        whole = self._source.estimated_document_count()
        spans = plan_spans(self._source, whole, self._splitting)
        query = self._spec.query()
        total = _count(self._source, query, whole) if query else whole
        copy = raw_collection(self._worker.destination, self._spec.destination)
        fresh = copy.find_one({}, {"_id": 1}) is None
        if fresh and self._prepare_copy is not None:
            self._prepare_copy(self._spec.flow_name, self._spec.destination)

        def plan(session: ClientSession | None) -> None:
            self._parts.plan(self._spec, spans, session, fresh=fresh, sweeps=generation > 1)

        self._endpoint.commit(
            plan,
            {
                "phase": Phase.SNAPSHOT,
                "scope_hash": self._spec.scope_hash,
                "shape_hash": self._spec.shape_hash,
                "token": start.token,
                "cluster_time": start.cluster_time,
                "generation": generation,
                "snapshots_asked": self._spec.snapshots_asked,
                "skips_asked": self._spec.skips_asked,
                "skipped_at": None,
                "snapshot_copied": 0,
                "snapshot_total": total,
                "snapshot_began_at": _later_than(position.snapshot_began_at),
                "snapshot_end": None,
                "position_at": None,
                "consistent_since": None,
                "indexes_at": None,
            },
        )
        self._parts.forget_leases(self._spec.key)
        self._log.info("snapshot_began", generation=generation, total=total, parts=len(spans))

    def _unfinished(self) -> list[Part]:
        return [part for part in self._parts.of(self._spec.key) if not part.done]

    def _copy_one_of(self, left: list[Part]) -> bool:
        """Copy the first part that nobody else copies; False when there is none."""
        for part in without_lease(left, self._leases):
            try:
                if self._worker.copy(part.key, wanted=self._wanted):
                    return True
            except (Fenced, LeaseLost) as error:
                self._go_on()  # unless the stream itself has another owner
                self._log.info("part_left", part=part.number, reason=describe(error))
        return False

    def _wanted(self) -> bool:
        self._go_on()
        self._history.check()
        return True

    def _progress(self) -> SnapshotProgress:
        total = self._endpoint.position.snapshot_total or 0
        return progress_of(self._parts.of(self._spec.key), total, datetime.now(UTC))

    def _finish(self) -> None:
        parts = self._parts.of(self._spec.key)
        if not parts:
            return  # without transactions a predecessor can have removed them: then once more
        copied = sum(part.copied for part in parts)
        # Later than anything that any worker has read.
        end = operation_time(self._source)
        self._endpoint.commit(
            lambda session: self._parts.clear(self._spec.key, session),
            {"phase": Phase.STREAM, "snapshot_end": end, "snapshot_copied": copied},
        )
        self._parts.forget_leases(self._spec.key)
        self._log.info("snapshot_finished", copied=copied)


def _later_than(earlier: datetime | None) -> datetime:
    """Return the time now, later than an earlier snapshot's by whatever clock."""
    now = datetime.now(UTC)
    return now if earlier is None else max(now, earlier + timedelta(seconds=1))


def _count(source: Collection[RawBSONDocument], query: Mapping[str, Any], whole: int) -> int:
    """Return how many documents match, or the ``whole`` where that takes a server too long."""
    try:
        return source.count_documents(query, maxTimeMS=_COUNT_MILLISECONDS)
    except OperationFailure as error:
        log.info("snapshot_total_is_of_all", error=describe(error))
        return whole
