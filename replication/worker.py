"""One slice of work on one stream: take the lease, fence the past, work, hand over."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import pymongo
import structlog
from bson import Binary
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError

from replication.errors import FailureKind, Fenced, Interrupted, describe, sort_failure
from replication.estuary import MongoEndpoint
from replication.lease import Grant, LeaseKeeper, Leases
from replication.mongo import Client, Purpose
from replication.owner import Owner
from replication.patience import Patience
from replication.position import MongoTracker, Position, control_database
from replication.spec import StreamSpec
from replication.streams import raw_collection
from replication.transactions import FencedTransactions, end_sessions

log = structlog.get_logger(__name__)

_UNAUTHORIZED = 13
_MISSING_PERMISSION = (
    "A cluster answers 13 (Unauthorized), with new sign-ins too: give the identity the right to"
    " read the source, and to read and write the destination and its 'replication' database."
)
_FIRST_BUMP, _LONGEST_BUMP = 0.5, 8.0  # seconds for raising the epoch


class Outcome(StrEnum):
    """How a slice ended."""

    NO_LEASE = "no lease"  # another worker has the stream
    HANDED_OVER = "handed over"  # its time is over or the worker stops; the lease is free
    LOST = "lost"  # another worker took the stream over meanwhile
    TROUBLE = "trouble"  # a passing failure: the supervisor tries again
    FAILED = "failed"  # only a person can help


@dataclass(frozen=True)
class SliceResult:
    """The end of a slice; ``error`` says why where something went wrong."""

    outcome: Outcome
    error: str = ""


@dataclass(frozen=True)
class Timing:
    """How long a lease lives, and how often the position of a quiet collection is saved."""

    lease: timedelta = timedelta(seconds=8)
    idle_save: timedelta = timedelta(seconds=10)


@dataclass(frozen=True)
class Clients:
    """Where a slice gets its clients from, and how it asks for new ones after a lost sign-in."""

    get: Callable[[str, Purpose], Client]
    replace: Callable[[str], None]


def run_slice(
    spec: StreamSpec, clients: Clients, timing: Timing, *, wanted: Callable[[], bool]
) -> SliceResult:
    """Work on a stream for as long as ``wanted()`` says, if nobody else does.

    It never raises: what is not understood stops the flow, and the result says why.
    """
    bound = log.bind(flow=spec.flow_name, stream=spec.key)
    replaced = False
    while True:
        try:
            return _attempt(spec, clients, timing, wanted, bound)
        except Exception as error:  # noqa: BLE001 - sorted below; the unknown stops the flow
            kind = sort_failure(error)
            if kind is FailureKind.REAUTHENTICATE and not replaced:
                # 13 and 18 also come from a sign-in that was lost: once more with new clients.
                bound.warning("clients_replaced", error=describe(error))
                clients.replace(spec.source.connection)
                clients.replace(spec.destination.connection)
                replaced = True
                continue
            result = _result_of(error, kind)
            if result.outcome is not Outcome.HANDED_OVER:
                _report(bound, result, error)
            return result


def _attempt(
    spec: StreamSpec,
    clients: Clients,
    timing: Timing,
    wanted: Callable[[], bool],
    bound: structlog.stdlib.BoundLogger,
) -> SliceResult:
    source = raw_collection(clients.get(spec.source.connection, Purpose.DATA), spec.source)
    client = clients.get(spec.destination.connection, Purpose.DATA)
    lease_client = clients.get(spec.destination.connection, Purpose.LEASE)
    tracker = MongoTracker(control_database(client))
    leases = Leases(control_database(lease_client), lifetime=timing.lease)
    seed = tracker.ensure(spec.key, spec.flow_id).epoch
    with client.start_session() as session:
        grant = leases.acquire(spec.key, spec.flow_id, session=_id_of(session), seed=seed)
        if grant is None:
            return SliceResult(Outcome.NO_LEASE)
        with LeaseKeeper(leases, grant) as keeper:
            patience = Patience(keeper, wanted, log=bound)
            position = _take_over(client, tracker, grant, patience)
            bound.info("slice_began", epoch=position.epoch, phase=position.phase.value)
            transactions = FencedTransactions(
                session,
                tracker,
                position,
                predecessors=grant.predecessors,
                pause=patience.pause,
            )
            endpoint = MongoEndpoint(client, spec, transactions)
            owner = Owner(
                spec, source, endpoint, keeper, patience, idle_save=timing.idle_save, log=bound
            )
            try:
                owner.work()
            except Interrupted:
                return SliceResult(Outcome.HANDED_OVER)
            except Exception as error:
                _raise_if_succeeded(tracker, position, error)
                raise


def _take_over(client: Client, tracker: MongoTracker, grant: Grant, patience: Patience) -> Position:
    """End what predecessors left open, and raise the epoch: from here on they are fenced."""
    attempt = 0
    while True:
        try:
            end_sessions(client, grant.predecessors)
            # An orphaned transaction that has touched the position would hold this up for long.
            with pymongo.timeout(min(_FIRST_BUMP * 2**attempt, _LONGEST_BUMP)):
                return tracker.take_over(grant.key, grant.number)
        except PyMongoError as error:
            if sort_failure(error) is not FailureKind.TRANSIENT:
                raise
            attempt += 1
            patience.pause(attempt, error)


def _raise_if_succeeded(tracker: MongoTracker, position: Position, error: Exception) -> None:
    """A successor ends its predecessor's session: what comes of that is no fault of the flow."""
    try:
        found = tracker.load(position.key)
    except PyMongoError:
        return  # the first error tells more
    if found is not None and found.epoch != position.epoch:
        raise Fenced(f"Epoch {position.epoch} of {position.key} is over.") from error


def _result_of(error: Exception, kind: FailureKind) -> SliceResult:
    if kind is FailureKind.OWNERSHIP:
        outcome = Outcome.HANDED_OVER if isinstance(error, Interrupted) else Outcome.LOST
        return SliceResult(outcome, describe(error))
    if kind is FailureKind.TRANSIENT:
        return SliceResult(Outcome.TROUBLE, describe(error))
    if kind is FailureKind.REAUTHENTICATE:
        if isinstance(error, OperationFailure) and error.code == _UNAUTHORIZED:
            return SliceResult(Outcome.FAILED, _MISSING_PERMISSION)
        return SliceResult(Outcome.TROUBLE, describe(error))
    return SliceResult(Outcome.FAILED, f"{kind.value.capitalize()}: {describe(error)}")


def _report(bound: structlog.stdlib.BoundLogger, result: SliceResult, error: Exception) -> None:
    # Of an unexpected error only its place is told: its text may quote a document.
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else ""
    level = logging.ERROR if result.outcome is Outcome.FAILED else logging.WARNING
    bound.log(level, "slice_ended", outcome=result.outcome.value, error=result.error, place=place)


def _id_of(session: ClientSession) -> Binary:
    identifier: Binary = session.session_id["id"]
    return identifier
