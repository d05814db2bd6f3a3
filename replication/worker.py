"""One slice of work on one stream: take the lease, fence the past, work, hand over."""

from collections.abc import Callable
from functools import partial

import structlog

from replication.claims import Claims
from replication.endpoints import stream_endpoint
from replication.errors import Interrupted
from replication.lease import LeaseKeeper, Leases
from replication.metrics import count_lease_change, count_retry
from replication.mongo import Purpose
from replication.owner import Owner
from replication.part_worker import PartWorker
from replication.patience import Patience
from replication.planning import Splitting
from replication.position import MongoTracker, control_database
from replication.preparing import PrepareCopy
from replication.slices import (
    Clients,
    Outcome,
    SliceResult,
    Timing,
    raise_if_succeeded,
    run_attempts,
    session_id,
    take_over,
)
from replication.snapshot import Snapshot
from replication.spec import StreamSpec
from replication.streams import raw_collection

__all__ = ["Clients", "Outcome", "SliceResult", "Timing", "run_slice"]

log = structlog.get_logger(__name__)


def run_slice(
    spec: StreamSpec,
    clients: Clients,
    timing: Timing,
    *,
    wanted: Callable[[], bool],
    splitting: Splitting | None = None,
    prepare_copy: PrepareCopy | None = None,
) -> SliceResult:
    """Work on a stream for as long as ``wanted()`` says, if nobody else does.

    ``splitting`` says into how many parts its snapshot is cut, where not the default ones, and
    ``prepare_copy`` is called with an empty copy before its first snapshot.

    It never raises: what is not understood stops the flow, and the result says why.
    """
    bound = log.bind(flow=spec.flow_name, stream=spec.key)
    return run_attempts(
        lambda: _attempt(spec, clients, timing, wanted, splitting, prepare_copy, bound),
        spec,
        clients,
        log=bound,
    )


def _attempt(
    spec: StreamSpec,
    clients: Clients,
    timing: Timing,
    wanted: Callable[[], bool],
    splitting: Splitting | None,
    prepare_copy: PrepareCopy | None,
    bound: structlog.stdlib.BoundLogger,
) -> SliceResult:
    source = raw_collection(clients.get(spec.source.connection, Purpose.DATA), spec.source)
    client = clients.get(spec.destination.connection, Purpose.DATA)
    lease_client = clients.get(spec.destination.connection, Purpose.LEASE)
    tracker = MongoTracker(control_database(client))
    leases = Leases(control_database(lease_client), lifetime=timing.lease)
    seed = tracker.ensure(spec.key, spec.flow_id).epoch
    with client.start_session() as session:
        grant = leases.acquire(spec.key, spec.flow_id, session=session_id(session), seed=seed)
        if grant is None:
            return SliceResult(Outcome.NO_LEASE)
        with LeaseKeeper(leases, grant) as keeper:
            retried = partial(count_retry, spec.flow_name, spec.source.collection)
            patience = Patience(keeper, wanted, log=bound, retried=retried)
            position = take_over(client, tracker, grant, patience)
            Claims(control_database(client)).take(spec)
            count_lease_change(spec.flow_name, spec.source.collection)
            bound.info("slice_began", epoch=position.epoch, phase=position.phase.value)
            endpoint = stream_endpoint(
                client,
                spec,
                session,
                position,
                predecessors=grant.predecessors,
                pause=patience.pause,
            )
            snapshot = Snapshot(
                PartWorker.of(spec, clients, timing.lease, bound),
                endpoint,
                go_on=patience.check,
                splitting=splitting,
                prepare_copy=prepare_copy,
            )
            owner = Owner(
                spec,
                source,
                endpoint,
                snapshot,
                keeper,
                patience,
                idle_save=timing.idle_save,
                log=bound,
            )
            try:
                owner.work()
            except Interrupted:
                return SliceResult(Outcome.HANDED_OVER)
            except Exception as error:
                raise_if_succeeded(tracker, position, error)
                raise
