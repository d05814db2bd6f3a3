"""Transactions on the destination that end with the position: all of a batch is there, or none."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol

import structlog
from bson import Binary
from pymongo import ReadPreference, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from replication.errors import (
    FailureKind,
    NoTransactions,
    PoisonEvent,
    TooBusy,
    TooMuchAtOnce,
    WritesRefused,
    describe,
    is_throttled,
    sort_failure,
)
from replication.mongo import Client
from replication.position import Moved, Tracker

log = structlog.get_logger(__name__)

# A statement that runs when its session is killed is waited for: keep each one short.
WRITES_PER_STATEMENT = 1_000
BYTES_PER_STATEMENT = 14 * 1024 * 1024
_COMMIT_MILLISECONDS = 10_000
_WRITE_CONFLICT = 112
# IllegalOperation (also "transaction numbers are only allowed on …"), OperationNotSupportedIn-
# Transaction.
_NO_TRANSACTIONS = frozenset({20, 263})
# CommandNotFound and Unauthorized: where a server does not let us end sessions, it ends their
# transactions itself after a while.
_CANNOT_KILL = frozenset({13, 59})

_UNKNOWN_RESULT = "UnknownTransactionCommitResult"
# After so many attempts at the same work a busy server is offered less at once.
_THROTTLED_ATTEMPTS = 3

Pause = Callable[[int, BaseException], None]
Work = Callable[[ClientSession | None], None]


class Commits(Protocol[Moved]):
    """Commits work with a position, as FencedCommits does.

    ``work`` gets the session of a transaction, if there is one.
    """

    position: Moved

    def run(self, work: Work, fields: Mapping[str, Any]) -> None:
        """Do ``work`` and set ``fields`` of the position."""

    def save(self, fields: Mapping[str, Any]) -> None:
        """Set ``fields`` of the position without any other write."""


def raise_unless_transient(error: PyMongoError) -> None:
    """Return if the same may succeed later.

    Raises:
        PoisonEvent: the destination refuses a document.
        TooMuchAtOnce: it would take less.
        PyMongoError: anything else.
    """
    kind = sort_failure(error)
    if kind is FailureKind.POISON:
        code = error.code if isinstance(error, OperationFailure) else None
        refused = error.refused if isinstance(error, WritesRefused) else {}
        reasons = sorted({refusal.reason for refusal in refused.values()})
        raise PoisonEvent(
            f"The destination refuses a document ({describe(error)}). {' '.join(reasons)}".rstrip(),
            code or 0,
            refused,
        ) from None
    if kind is FailureKind.TOO_MUCH:
        raise TooMuchAtOnce(f"The batch is too much for one transaction: {describe(error)}.")
    if kind is not FailureKind.TRANSIENT:
        raise error


class FencedCommits(ABC, Generic[Moved]):
    """Commits work with the position, for one owner of a stream or part.

    ``position`` is always the last committed one. ``pause(attempt, error)`` is called between two
    attempts; it waits, or raises when there should be none.
    """

    def __init__(self, tracker: Tracker[Moved], position: Moved, *, pause: Pause) -> None:
        self._tracker = tracker
        self._pause = pause
        self.position = position

    def run(self, work: Work, fields: Mapping[str, Any]) -> None:
        """Do ``work`` and set ``fields`` of the position.

        ``work`` may be called several times, and the last one's writes count.

        Raises:
            Fenced: another owner has taken the stream over.
            PoisonEvent: the destination refuses a document.
            TooMuchAtOnce: it would take less at once; TooBusy, if only for now.
            PyMongoError: a failure that is not transient.
        """
        self.position = self._until_known(lambda: self._once(work, fields), divisible=True)

    def save(self, fields: Mapping[str, Any]) -> None:
        """Set ``fields`` of the position without any other write. Raises as ``run`` does."""
        self.position = self._until_known(lambda: self._alone(fields))

    def _until_known(self, attempt: Callable[[], Moved], *, divisible: bool = False) -> Moved:
        """Repeat until it is certain whether the commit happened.

        Nothing else may be tried before: the next commit would take this one's batch number in
        the position for its own success.
        """
        count = 0
        while True:
            try:
                return attempt()
            except PyMongoError as error:
                self._undo(error)
                raise_unless_transient(error)
                count += 1
                self._pause(count, error)
                # A commit of unknown result may still happen: nothing but the same may follow.
                certain = not error.has_error_label(_UNKNOWN_RESULT)
                if divisible and certain and count >= _THROTTLED_ATTEMPTS and is_throttled(error):
                    raise TooBusy(f"The destination is too busy: {describe(error)}.") from None

    @abstractmethod
    def _once(self, work: Work, fields: Mapping[str, Any]) -> Moved:
        """Try once, and return the position as it is then."""

    def _alone(self, fields: Mapping[str, Any]) -> Moved:
        if self._tracker.advance(self.position, fields):
            return self.position.moved(fields)
        return self._tracker.after_refusal(self.position)

    def _undo(self, error: PyMongoError) -> None:
        """Clear up after a failed attempt."""


class FencedTransactions(FencedCommits[Moved]):
    """Commits work together with the position in one transaction: exactly once.

    Of what raises, nothing was committed.
    """

    def __init__(
        self,
        session: ClientSession,
        tracker: Tracker[Moved],
        position: Moved,
        *,
        predecessors: Sequence[Binary] = (),
        pause: Pause,
    ) -> None:
        super().__init__(tracker, position, pause=pause)
        self._session = session
        self._predecessors = predecessors

    def _once(self, work: Work, fields: Mapping[str, Any]) -> Moved:
        self._session.start_transaction(
            read_concern=ReadConcern("snapshot"),
            write_concern=WriteConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
            max_commit_time_ms=_COMMIT_MILLISECONDS,
        )
        work(self._session)
        if not self._tracker.advance(self.position, fields, session=self._session):
            self._session.abort_transaction()
            return self._tracker.after_refusal(self.position)
        self._session.commit_transaction()
        return self.position.moved(fields)

    def _undo(self, error: PyMongoError) -> None:
        if self._session.in_transaction:
            self._session.abort_transaction()
        code = getattr(error, "code", None)
        if code in _NO_TRANSACTIONS:
            raise NoTransactions(
                f"The destination has no transactions ({describe(error)}): choose the write mode"
                " 'Guarded' for this flow, or another destination."
            ) from None
        if code == _WRITE_CONFLICT:
            # A statement of a dead owner can open its transaction after the first kill.
            self._end_predecessors()

    def _end_predecessors(self) -> None:
        try:
            end_sessions(self._session.client, self._predecessors)
        except PyMongoError as error:
            # The next conflict tries again; other failures are met by the next attempt itself.
            log.warning("sessions_not_ended", error=describe(error))


def end_sessions(client: Client, sessions: Iterable[Binary]) -> None:
    """End these server sessions, so that transactions that their dead owners left open are undone.

    Raises:
        PyMongoError: the server could not be asked.
    """
    ids = [{"id": session} for session in sessions]
    if not ids:
        return
    try:
        client.admin.command({"killSessions": ids})
    except OperationFailure as error:
        if error.code not in _CANNOT_KILL:
            raise


def sliced(
    items: Iterable[tuple[int, Any]], most: Callable[[], int] = lambda: WRITES_PER_STATEMENT
) -> Iterator[list[Any]]:
    """Cut (size in bytes, item) pairs into lists of ``most()`` that fit into one statement each."""
    chosen: list[Any] = []
    size, count = 0, most()
    for length, item in items:
        if chosen and (len(chosen) >= count or size + length > BYTES_PER_STATEMENT):
            yield chosen
            chosen, size, count = [], 0, most()
        chosen.append(item)
        size += length
    if chosen:
        yield chosen
