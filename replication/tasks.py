"""The tasks of replication: a supervisor that looks, and slices that work."""

import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime
from uuid import UUID

import pymongo
import structlog
from celery import shared_task
from django.conf import settings
from pymongo.errors import PyMongoError

from replication.errors import ReplicationError, describe
from replication.lease import Leases
from replication.models import Flow
from replication.mongo import Client, client_for, replace_clients
from replication.position import control_database
from replication.spec import StreamSpec
from replication.warm_stop import worker_stopping
from replication.worker import Clients, Outcome, Timing, run_slice

log = structlog.get_logger(__name__)

_LOOK = 1.5  # seconds for one cluster
_LOOKS_AT_ONCE = 16
_FLOW_CHECK = 1.0  # seconds between looks at a flow's row while a slice works


@shared_task(name="replication.tasks.supervise")
def supervise() -> None:
    """Enqueue a slice for every stream of an enabled flow that nobody works on.

    Touches no data, and may run several times at once: a slice without a lease ends at once.
    """
    waiting: defaultdict[str, list[StreamSpec]] = defaultdict(list)
    flows = Flow.objects.filter(enabled=True, failure="").select_related("source", "destination")
    for flow in flows:
        waiting[flow.destination.name].append(flow.spec())
    looks = []
    for connection, specs in waiting.items():
        try:
            looks.append((connection, client_for(connection), specs))
        except (PyMongoError, ReplicationError) as error:
            log.warning("cluster_not_configured", connection=connection, error=describe(error))
    if looks:
        # One dead cluster must not delay the look at the others.
        with ThreadPoolExecutor(min(len(looks), _LOOKS_AT_ONCE)) as pool:
            contexts = [copy_context() for _look in looks]  # the log lines of all have one id
            for idle in pool.map(
                lambda context, look: context.run(_without_lease, *look), contexts, looks
            ):
                for spec in idle:
                    _enqueue(spec.flow_id)


@shared_task(name="replication.tasks.run_stream_slice")
def run_stream_slice(flow_id: str) -> None:
    """Work on a flow's stream for a slice of time, then hand over to the next slice."""
    flow = _runnable(UUID(flow_id))
    if flow is None:
        return
    spec = flow.spec()
    with structlog.contextvars.bound_contextvars(flow=flow.name):
        result = run_slice(
            spec,
            Clients(get=client_for, replace=replace_clients),
            Timing(lease=settings.REPLICATION_LEASE),
            wanted=_wanted(spec),
        )
    if result.outcome is Outcome.FAILED:
        Flow.objects.filter(id=flow.id).update(failure=result.error, failed_at=datetime.now(UTC))
    elif result.outcome is Outcome.HANDED_OVER and _runnable(flow.id):
        _enqueue(flow.id)


def _enqueue(flow_id: UUID) -> None:
    # A message that nobody takes is worthless soon: the supervisor sends another.
    run_stream_slice.apply_async(
        (str(flow_id),), expires=2 * settings.REPLICATION_SUPERVISOR_PERIOD
    )


def _runnable(flow_id: UUID) -> Flow | None:
    return (
        Flow.objects.select_related("source", "destination")
        .filter(id=flow_id, enabled=True, failure="")
        .first()
    )


def _wanted(spec: StreamSpec) -> Callable[[], bool]:
    """Return what tells a slice whether to go on: its time, the worker's stop, the flow's row."""
    ends = time.monotonic() + settings.REPLICATION_SLICE.total_seconds()
    look_at = time.monotonic() + _FLOW_CHECK

    def wanted() -> bool:
        nonlocal look_at
        now = time.monotonic()
        if worker_stopping.is_set() or now >= ends:
            return False
        if now >= look_at:
            look_at = now + _FLOW_CHECK
            flow = _runnable(spec.flow_id)
            return flow is not None and flow.spec() == spec
        return True

    return wanted


def _without_lease(connection: str, client: Client, specs: list[StreamSpec]) -> list[StreamSpec]:
    try:
        with pymongo.timeout(_LOOK):
            states = Leases.seen_in(control_database(client)).states([spec.key for spec in specs])
    except PyMongoError as error:
        log.warning("cluster_unreachable", connection=connection, error=describe(error))
        return []
    return [spec for spec in specs if spec.key not in states or not states[spec.key].live]
