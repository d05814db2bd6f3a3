"""What every slice of work has in common: how it takes over, and how its end is told."""

import logging
import time
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
from replication.lease import Grant
from replication.mongo import Client, Purpose
from replication.patience import Patience
from replication.position import Moved, Tracker
from replication.spec import StreamSpec
from replication.transactions import end_sessions

_UNAUTHORIZED = 13
_MISSING_PERMISSION = (
    "A cluster answers 13 (Unauthorized), with new sign-ins too: give the identity the right to"
    " read the source, and to read and write the destination and its 'replication' database."
)
_FIRST_BUMP, _LONGEST_BUMP = 0.5, 8.0  # seconds for raising the epoch
# Seconds after which new clients have shown that they are signed in, and may what is needed. A flow
# in the foreground has one slice for weeks, and loses more than one sign-in.
_SIGNED_IN = 30.0


class Outcome(StrEnum):
    """How a slice ended."""

    DONE = "done"  # nothing is left to do: of a part of a snapshot only, a stream never ends
    NO_LEASE = "no lease"  # another worker has the stream or part
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


def run_attempts(
    attempt: Callable[[], SliceResult],
    spec: StreamSpec,
    clients: Clients,
    *,
    log: structlog.stdlib.BoundLogger,
    clock: Callable[[], float] = time.monotonic,
) -> SliceResult:
    """Call ``attempt``, once more with new clients where a sign-in was lost, and tell its end.

    It never raises: what is not understood stops the flow, and the result says why.
    """
    replaced = False
    while True:
        began = clock()
        try:
            return attempt()
        except Exception as error:  # noqa: BLE001 - sorted below; the unknown stops the flow
            kind = sort_failure(error)
            lost_anew = clock() - began > _SIGNED_IN
            if kind is FailureKind.REAUTHENTICATE and (lost_anew or not replaced):
                # 13 and 18 also come from a sign-in that was lost: once more with new clients.
                log.warning("clients_replaced", error=describe(error))
                clients.replace(spec.source.connection)
                clients.replace(spec.destination.connection)
                replaced = True
                continue
            result = _result_of(error, kind)
            if result.outcome is not Outcome.HANDED_OVER:
                _report(log, result, error)
            return result


def take_over(client: Client, tracker: Tracker[Moved], grant: Grant, patience: Patience) -> Moved:
    """End what predecessors left open, and raise the epoch: from here on they are fenced.

    Raises:
        Fenced: a later owner has been here, or what was to be owned is gone.
    """
    attempt = 0
    while True:
        try:
            # Its own too: the driver may have given it the one that a predecessor here has left.
            end_sessions(client, [*grant.predecessors, grant.session])
            # An orphaned transaction that has touched the position would hold this up for long.
            with pymongo.timeout(min(_FIRST_BUMP * 2**attempt, _LONGEST_BUMP)):
                return tracker.take_over(grant.key, grant.number)
        except PyMongoError as error:
            if sort_failure(error) is not FailureKind.TRANSIENT:
                raise
            attempt += 1
            patience.pause(attempt, error)


def raise_if_succeeded(tracker: Tracker[Moved], position: Moved, error: Exception) -> None:
    """A successor ends its predecessor's session: what comes of that is no fault of the flow."""
    try:
        found = tracker.load(position.key)
    except PyMongoError:
        return  # the first error tells more
    if found is not None and found.epoch != position.epoch:
        raise Fenced(f"Epoch {position.epoch} of {position.key} is over.") from error


def session_id(session: ClientSession) -> Binary:
    """Return what a successor needs to end a session."""
    identifier: Binary = session.session_id["id"]
    return identifier


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
