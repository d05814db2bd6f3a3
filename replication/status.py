"""All that the rest of the product may see and do with flows: their state and their marks."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pymongo
from pymongo.errors import PyMongoError

from replication.errors import ReplicationError, describe
from replication.flow_status import FlowStatus, Seen, look_at, put_together
from replication.guard import TOMBSTONE_FIELD
from replication.history import history_left
from replication.looks import look_at_all
from replication.marks import Mark, Marks
from replication.models import Flow
from replication.mongo import client_for
from replication.position import control_database
from replication.records import read_records
from replication.spec import Namespace
from replication.stream_status import FlowState, StreamStatus
from replication.stuck import Stuck, stuck_streams

__all__ = [
    "TOMBSTONE_FIELD",
    "FlowState",
    "FlowStatus",
    "Mark",
    "Namespace",
    "ReplicationError",
    "SeveralCollections",
    "StreamStatus",
    "Stuck",
    "UnknownFlow",
    "clear_marks",
    "destination_of",
    "flow_names",
    "flow_status",
    "history_left_of",
    "source_of",
    "status_of",
    "statuses",
    "stuck_flows",
    "stuck_streams",
    "touched_partitions",
]

_NEVER = datetime.max.replace(tzinfo=UTC)
_PATIENCE = 1.5  # seconds for a look at a cluster, so that a page with a dead one still renders


class UnknownFlow(ReplicationError):
    """No flow of that name exists."""


class SeveralCollections(ReplicationError):
    """What was asked for is known of flows of one collection only."""


def flow_names() -> list[str]:
    """Return the names of all flows in alphabetical order."""
    return list(Flow.objects.order_by("name").values_list("name", flat=True))


def flow_status(name: str) -> FlowStatus:
    """Look at a flow, within 2 seconds: a dead cluster gives a status with ``error`` set.

    Raises:
        UnknownFlow: no flow has that name.
    """
    return status_of(_flow(name))


def source_of(name: str) -> Namespace:
    """Return the one collection that a flow reads, without a look at any cluster.

    Raises:
        UnknownFlow: no flow has that name.
        SeveralCollections: it reads more than one.
    """
    flow = _flow(name)
    return flow.source_of(_single(flow))


def destination_of(name: str) -> Namespace:
    """Return the one collection that a flow writes; raises as ``source_of`` does."""
    flow = _flow(name)
    return flow.destination_of(_single(flow))


def status_of(flow: Flow) -> FlowStatus:
    """Look at a flow whose row is at hand, as ``flow_status`` does."""
    try:
        with pymongo.timeout(_PATIENCE):
            seen = look_at(flow.destination.name, [flow.id])
    except (PyMongoError, ReplicationError) as error:
        unseen = f"The destination {flow.destination.name!r}: {describe(error)}"
        return put_together(flow, Seen(), unseen=unseen)
    return put_together(flow, seen, unseen=None)


def statuses() -> list[FlowStatus]:
    """Look at all flows at once, in the order of their names, for 6 seconds at most."""
    flows = list(
        Flow.objects.select_related("source", "destination")
        .prefetch_related("failures")
        .order_by("name")
    )
    ids: defaultdict[str, list[UUID]] = defaultdict(list)
    for flow in flows:
        ids[flow.destination.name].append(flow.id)
    found = look_at_all({name: partial(look_at, name, each) for name, each in ids.items()})
    return [
        put_together(
            flow,
            found.get(flow.destination.name, Seen()),
            unseen=None
            if flow.destination.name in found
            else f"The destination {flow.destination.name!r} does not answer.",
        )
        for flow in flows
    ]


def history_left_of(flow: Flow) -> timedelta | None:
    """Return how long the source still keeps what the stream furthest behind has yet to read.

    It takes 3 seconds at most. None where it cannot be known, as on Azure, or nothing was read.
    """
    try:
        with pymongo.timeout(_PATIENCE):
            positions = read_records(flow.destination.name, [flow.id]).positions
        known = [each for each in positions.values() if each.position_at is not None]
        if not known:
            return None
        furthest = min(known, key=lambda each: each.position_at or _NEVER)
        with pymongo.timeout(_PATIENCE):
            return history_left(client_for(flow.source.name), furthest)
    except (PyMongoError, ReplicationError):
        return None


def stuck_flows() -> list[Stuck]:
    """Return the collections that do not get on although their flows are enabled, and why.

    It takes 6 seconds at most. Between two slices a flow that is copied for the first time may
    seem to stand still for a second.
    """
    return [stuck for status in statuses() for stuck in stuck_streams(status)]


def touched_partitions(name: str, limit: int = 1000, after: Mark | None = None) -> list[Mark]:
    """Return at most ``limit`` marks of a flow, oldest first: those that follow ``after``.

    A later look from the start may find marks between those that were read: their order is by
    the workers' clocks.

    Raises:
        UnknownFlow: no flow has that name.
        PyMongoError: the destination does not answer.
    """
    flow = _flow(name)
    return _marks(flow).read(str(flow.id), limit, after)


def clear_marks(name: str, marks: Iterable[Mark]) -> int:
    """Remove exactly these marks, and return how many were still there.

    Raises:
        UnknownFlow: no flow has that name.
        PyMongoError: the destination does not answer; some of the marks may be gone.
    """
    return _marks(_flow(name)).remove(marks)


def _flow(name: str) -> Flow:
    try:
        return Flow.objects.select_related("source", "destination").get(name=name)
    except Flow.DoesNotExist:
        raise UnknownFlow(
            f"There is no flow {name!r}: add it in the admin under Replication, Flows."
        ) from None


def _single(flow: Flow) -> str:
    single = flow.scope.single
    if single is None:
        raise SeveralCollections(
            f"The flow {flow.name!r} copies several collections ({flow.collection}): choose a flow"
            " of one collection."
        )
    return single


def _marks(flow: Flow) -> Marks:
    return Marks(control_database(client_for(flow.destination.name)))
