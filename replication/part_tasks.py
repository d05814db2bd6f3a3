"""Parts of snapshots are offered to the workers of a queue of their own.

Nobody waits for these workers: a stream's owner copies its parts itself while there are any that
nobody else copies. So an installation without them is only slower.
"""

import random
import time
from collections.abc import Callable
from functools import partial
from uuid import UUID

import structlog
from celery import shared_task
from django.conf import settings
from django.db import DatabaseError
from kombu.exceptions import OperationalError

from replication.errors import InvalidConfiguration, describe
from replication.lease import Leases
from replication.looks import look_at_all
from replication.mongo import client_for, replace_clients
from replication.part_worker import run_part
from replication.parts import Part, Parts, without_lease
from replication.position import control_database
from replication.queues import room_in
from replication.roster import Roster
from replication.slices import Clients, Outcome, Timing
from replication.spec import StreamId, StreamSpec
from replication.steering import note_failure
from replication.warm_stop import worker_stopping

log = structlog.get_logger(__name__)

_QUEUE = "snapshots"
# Messages that wait at one time. Without a worker for them there are never more.
_MESSAGES = 32
_ROW_CHECK = 2.0  # seconds between looks at the flow's row


@shared_task(name="replication.tasks.offer_parts")
def offer_parts() -> None:
    """Enqueue the parts that nobody copies, as many as there is room for.

    Apart from the look for streams, which a cluster that does not answer here must not delay.
    """
    roster = Roster.read()
    names = {flow.destination.name for flow in roster.flows.values()}
    seen = look_at_all({name: partial(_idle, name) for name in names})
    idle = [part for parts in seen.values() for part in parts if roster.runnable(_stream(part))]
    if not idle:
        return
    try:
        room = room_in(_QUEUE, most=_MESSAGES)
        for part in random.sample(idle, min(len(idle), room)):
            # A message that nobody takes is worthless soon: the supervisor sends another.
            copy_part.apply_async(
                (part.flow, part.collection, part.key),
                expires=2 * settings.REPLICATION_SUPERVISOR_PERIOD,
            )
    except OperationalError as error:
        log.warning("parts_not_offered", error=type(error).__name__)


@shared_task(name="replication.tasks.copy_part")
def copy_part(flow_id: str, collection: str, key: str) -> None:
    """Copy a part of a snapshot for a slice of time, if nobody else does."""
    stream = StreamId(UUID(flow_id), collection)
    try:
        spec = Roster.read().spec(stream)
    except InvalidConfiguration as error:
        log.warning("part_not_begun", stream=str(stream), error=describe(error))
        return
    if spec is None:
        return
    with structlog.contextvars.bound_contextvars(flow=spec.flow_name, collection=collection):
        result = run_part(
            spec,
            key,
            Clients(get=client_for, replace=replace_clients),
            Timing(lease=settings.REPLICATION_LEASE),
            wanted=_wanted(stream, spec),
        )
    if result.outcome is Outcome.FAILED:
        note_failure(stream, result.error)
    elif result.outcome is Outcome.DONE:
        # The next part need not wait for the supervisor.
        offer_parts()


def _idle(connection: str) -> list[Part]:
    control = control_database(client_for(connection))
    return without_lease(Parts(control).unfinished(), Leases.seen_in(control))


def _stream(part: Part) -> StreamId:
    return StreamId(UUID(part.flow), part.collection)


def _wanted(stream: StreamId, spec: StreamSpec) -> Callable[[], bool]:
    """Return what tells whether to go on: the slice's time, the worker's stop, the flow's row."""
    ends = time.monotonic() + settings.REPLICATION_SLICE.total_seconds()
    look_at = time.monotonic() + _ROW_CHECK

    def wanted() -> bool:
        nonlocal look_at
        now = time.monotonic()
        if worker_stopping.is_set() or now >= ends:
            return False
        if now >= look_at:
            look_at = now + _ROW_CHECK
            try:
                return not Roster.read().changed(stream, spec)
            except DatabaseError as error:
                log.warning("flows_not_read", error=type(error).__name__)
        return True

    return wanted
