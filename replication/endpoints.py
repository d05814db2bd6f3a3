"""Endpoints for a stream's owner and for parts of its snapshot, with or without transactions."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from bson import Binary, ObjectId, Timestamp
from pymongo.client_session import ClientSession

from replication.changes import Batch
from replication.estuary import MongoEndpoint
from replication.guard import (
    TOMBSTONE_FIELD,
    Guarantee,
    GuardedCommits,
    GuardedWriter,
    Moment,
    guarantee_of,
    prepare_guarded,
    sweep_tombstones,
    unguarded,
)
from replication.marks import TouchedPartitions
from replication.mongo import Client
from replication.parts import Part, Parts
from replication.position import MongoTracker, Moved, Phase, Position, control_database
from replication.spec import StreamSpec
from replication.statements import Writer, Writes
from replication.transactions import FencedCommits, FencedTransactions, Pause

# Longer than any write of an owner that has lost its lease can be on its way.
_LATE = timedelta(seconds=60)
_HOUSEKEEPING = 60.0  # seconds between two sweeps


class GuardedEndpoint(MongoEndpoint[Moved]):
    """Writes a copy whose cluster has no transactions; see ``guard`` for what that means.

    ``moments`` gives a batch its moment, from the cluster time of its last event.
    """

    guarantee = Guarantee.GUARDED
    _alive = {TOMBSTONE_FIELD: None}

    def __init__(
        self,
        client: Client,
        spec: StreamSpec,
        commits: FencedCommits[Moved],
        moments: Callable[[Timestamp | None], Moment],
    ) -> None:
        super().__init__(client, spec, commits)
        self._moments = moments
        self._moment = moments(None)
        self._hidden: list[ObjectId] = []
        self._kept_house_at = time.monotonic()

    def prepare(self) -> None:
        """Create the collections and the index of tombstones."""
        super().prepare()
        prepare_guarded(self.copy)

    def save(self, fields: Mapping[str, Any]) -> None:
        """Move the position without a write."""
        super().save(fields)
        self._keep_house()

    def apply(self, batch: Batch, fields: Mapping[str, Any], *, may_wait: bool = False) -> None:
        """Write a batch, and move the position after it. Raises as MongoEndpoint's does."""
        self._moment = self._moments(batch.cluster_time)
        super().apply(batch, fields, may_wait=may_wait)
        self._keep_house()

    def insert(self, documents: Sequence[bytes], session: ClientSession | None) -> None:
        """Insert documents that the copy lacks, and their marks."""
        super().insert(documents, session)
        self._show_marks()

    def as_source(self, documents: Sequence[bytes]) -> Sequence[bytes]:
        """Return documents of the copy as the source would have them."""
        return list(unguarded(documents))

    def _write(self, writes: Writes, session: ClientSession | None, *, fresh: bool) -> None:
        super()._write(writes, session, fresh=fresh)
        self._show_marks()

    def _writer(self) -> Writer:
        return GuardedWriter(self.copy, self._moment)

    def _append_marks(self, touched: TouchedPartitions, session: ClientSession | None) -> None:
        flow = str(self._spec.flow_id)
        self._hidden += self._marks.append_hidden(touched, flow_id=flow, stream=self._spec.key)

    def _show_marks(self) -> None:
        self._marks.show(self._hidden)
        self._hidden = []

    def _keep_house(self) -> None:
        if time.monotonic() - self._kept_house_at >= _HOUSEKEEPING:
            self._marks.show_left_behind(self._spec.key, _LATE)
            sweep_tombstones(self.copy)
            self._kept_house_at = time.monotonic()


def stream_endpoint(
    client: Client,
    spec: StreamSpec,
    session: ClientSession,
    position: Position,
    *,
    predecessors: Sequence[Binary],
    pause: Pause,
) -> MongoEndpoint[Position]:
    """Return the endpoint of a stream's owner, and note in the position what it guarantees.

    Raises:
        Fenced, PyMongoError: the position could not be moved.
    """
    tracker = MongoTracker(control_database(client))
    endpoint: MongoEndpoint[Position]
    if guarantee_of(spec, client) is Guarantee.GUARDED:
        commits = GuardedCommits(tracker, position, pause=pause)
        endpoint = GuardedEndpoint(client, spec, commits, _moments_of(commits))
    else:
        transactions = FencedTransactions(
            session, tracker, position, predecessors=predecessors, pause=pause
        )
        endpoint = MongoEndpoint(client, spec, transactions)
    if position.guarantee != endpoint.guarantee:
        fields: dict[str, Any] = {"guarantee": endpoint.guarantee.value}
        if position.guarantee == Guarantee.GUARDED:
            # Its documents have a field that the source's lack, and some are tombstones.
            fields["phase"] = Phase.NEW
        endpoint.save(fields)
    return endpoint


def part_endpoint(
    client: Client,
    spec: StreamSpec,
    session: ClientSession,
    part: Part,
    *,
    predecessors: Sequence[Binary],
    pause: Pause,
) -> MongoEndpoint[Part]:
    """Return the endpoint of whoever copies a part of a snapshot.

    Raises:
        PyMongoError: the destination does not answer.
    """
    parts = Parts(control_database(client))
    if guarantee_of(spec, client) is Guarantee.GUARDED:
        stream = MongoTracker(control_database(client)).load(spec.key)
        moment = Moment.of_snapshot(stream)
        commits = GuardedCommits(parts, part, pause=pause)
        return GuardedEndpoint(client, spec, commits, lambda _time: moment)
    return MongoEndpoint(
        client,
        spec,
        FencedTransactions(session, parts, part, predecessors=predecessors, pause=pause),
    )


def _moments_of(commits: GuardedCommits[Position]) -> Callable[[Timestamp | None], Moment]:
    batches = 0

    def moment(time: Timestamp | None) -> Moment:
        nonlocal batches
        batches += 1
        return Moment.after_snapshot(commits.position, time, ordinal=batches)

    return moment
