"""The tasks of replication: a supervisor that looks, and slices that work."""

import random
from uuid import UUID

import structlog
from celery import shared_task
from django.conf import settings
from django.db import DatabaseError, connections
from kombu.exceptions import OperationalError

from replication.mongo import Client, Purpose, client_for, replace_clients
from replication.part_tasks import copy_part, offer_parts
from replication.preparing import prepare_copy
from replication.queues import room_in
from replication.roster import Roster
from replication.slices import Clients, Outcome, SliceResult, Timing
from replication.slots import Slot, SlotLimits
from replication.spec import StreamId
from replication.steering import note_failure
from replication.waiting import waiting_streams
from replication.warm_stop import worker_stopping
from replication.worker import run_slice

__all__ = ["copy_part", "offer_parts", "run_stream_slice", "supervise"]

log = structlog.get_logger(__name__)

_QUEUE = "streams"
# Messages that wait at one time. Of thousands of streams each has its chance at one of the next
# looks, and the queue of busy workers does not grow by thousands every few seconds.
_MESSAGES = 64


@shared_task(name="replication.tasks.supervise")
def supervise() -> None:
    """Enqueue a slice for every stream of an enabled flow that nobody works on.

    Touches no data, and may run several times at once: a slice without a lease ends at once.
    """
    waiting = waiting_streams(Roster.read())
    if not waiting:
        return
    try:
        room = room_in(_QUEUE, most=_MESSAGES)
    except OperationalError as error:
        log.warning("broker_not_seen", error=type(error).__name__)
        return
    for stream in random.sample(waiting, min(len(waiting), room)):
        _enqueue(stream)


@shared_task(name="replication.tasks.run_stream_slice")
def run_stream_slice(flow_id: str, collection: str) -> None:
    """Work on a stream, and beside it on others that nobody takes, for a slice of time."""
    clients = Clients(get=_client, replace=replace_clients)
    timing = Timing(lease=settings.REPLICATION_LEASE)
    slot = Slot(
        lambda spec, wanted: run_slice(
            spec, clients, timing, wanted=wanted, prepare_copy=prepare_copy
        ),
        waiting=waiting_streams,
        ended=_after,
        stopping=worker_stopping.is_set,
        limits=SlotLimits(
            streams=settings.REPLICATION_STREAMS_PER_SLOT,
            time=settings.REPLICATION_SLICE.total_seconds(),
        ),
    )
    slot.run(StreamId(UUID(flow_id), collection))


def _client(connection: str, purpose: Purpose) -> Client:
    try:
        return client_for(connection, purpose)
    finally:
        connections.close_all()  # those of a stream's thread, which may not need them for hours


def _after(stream: StreamId, result: SliceResult) -> None:
    try:
        if result.outcome is Outcome.FAILED:
            note_failure(stream, result.error)
        elif result.outcome is Outcome.HANDED_OVER and Roster.read().runnable(stream):
            _enqueue(stream)
    except DatabaseError as error:
        # The supervisor takes the stream up again, and a failure comes again with it.
        log.warning("end_not_noted", stream=str(stream), error=type(error).__name__)


def _enqueue(stream: StreamId) -> None:
    try:
        # A message that nobody takes is worthless soon: the supervisor sends another.
        run_stream_slice.apply_async(
            (str(stream.flow_id), stream.collection),
            expires=2 * settings.REPLICATION_SUPERVISOR_PERIOD,
        )
    except OperationalError as error:
        log.warning("message_not_sent", stream=str(stream), error=type(error).__name__)
