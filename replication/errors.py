"""What can go wrong, and the one place that decides what each failure means.

ReplicationError
├── InvalidConfiguration   every problem of a configuration at once
├── UnknownConnection      no such row in the admin
├── TokenUnavailable       no Entra token now (also a WaitQueueTimeoutError, see below)
├── SignInFailed           the server does not accept the identity, or could not accept its token
├── MissingPermission      signed in, but not allowed to do what the flow needs
├── HistoryLost            the source no longer has the events after the saved position
├── SnapshotOutlastsHistory  a copy would end after the source has forgotten what to follow
├── PoisonEvent            the destination refuses one document for good
├── TooMuchAtOnce          a transaction holds more than the destination takes: smaller ones may do
│   └── TooBusy            the same for now: it also helps to wait
├── NoTransactions         the destination has none, and the flow needs them
├── TooEarly               a unique index may take what is refused, after the changes that follow
├── Interrupted            the slice is over, nothing is wrong
├── LeaseLost              another worker owns the stream, or the lease could not be renewed
└── Fenced                 another worker has raised the position's epoch: leave at once
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from bson.errors import BSONError
from django.db import DatabaseError
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    NotPrimaryError,
    OperationFailure,
    ProtocolError,
    PyMongoError,
    WaitQueueTimeoutError,
)

from replication.refusals import POISON_CODES, Refusal


class ReplicationError(Exception):
    """Something that this app reports by name. Its text never holds a secret or a document."""


class InvalidConfiguration(ReplicationError):
    """A configuration that cannot work. ``problems`` holds one sentence for each reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = tuple(problems)


class UnknownConnection(ReplicationError):
    """No connection of that name exists."""


class TokenUnavailable(WaitQueueTimeoutError, ReplicationError):
    """There is no usable Entra token at this moment.

    It is a WaitQueueTimeoutError because that is the one error of an OIDC callback after which
    pymongo leaves the server's state, the pool and open change streams as they were.
    """


class SignInFailed(ReplicationError):
    """The server does not accept the identity, or its token cannot be accepted."""


class MissingPermission(ReplicationError):
    """The identity is known to the server and may not do what the flow needs."""


class HistoryLost(ReplicationError):
    """The change stream cannot go on from the saved position: only a new snapshot helps."""


class SnapshotOutlastsHistory(ReplicationError):
    """A snapshot would end after the source has forgotten the changes since its begin."""


class PoisonEvent(ReplicationError):
    """The destination will never take some of the documents. ``code`` is the server's.

    ``refused`` says why by the documents' keys; it is empty where the server did not tell which.
    """

    def __init__(
        self, message: str, code: int, refused: Mapping[bytes, Refusal] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.refused = refused or {}


class WritesRefused(OperationFailure):
    """Some writes of a statement failed; ``refused`` names those that are poison, by key.

    Of the server's answer it keeps the code and the labels, as the message may quote documents.
    """

    def __init__(
        self, error: Mapping[str, Any], labels: Sequence[str], refused: Mapping[bytes, Refusal]
    ) -> None:
        details = {"errorLabels": list(labels), **_wanted_pause(error)}
        super().__init__("a write was refused", error["code"], details)
        self.refused = refused


class TooMuchAtOnce(ReplicationError):
    """The destination takes less in one transaction, or in the time that it gives to one."""


class TooBusy(TooMuchAtOnce):
    """The destination is too busy for all of it, again and again."""


class NoTransactions(ReplicationError):
    """The destination cannot do what exactly once needs."""


class TooEarly(ReplicationError):
    """A unique index refuses a document that it may take together with later changes."""


class Interrupted(ReplicationError):
    """The slice of time is over, or the worker stops: leave what is not committed."""


class LeaseLost(ReplicationError):
    """This worker's lease has ended."""


class Fenced(ReplicationError):
    """Another worker has taken the stream over: nothing of this one may be committed."""


class FailureKind(StrEnum):
    """What to do about a failure."""

    TRANSIENT = "transient"  # back off and go on
    REAUTHENTICATE = "reauthenticate"  # once with new clients, then it is a missing permission
    POISON = "poison"  # one document: set it aside or stop
    TOO_MUCH = "too much at once"  # the same in smaller pieces
    HISTORY_LOST = "history lost"  # snapshot again or stop, by the flow's policy
    CONFIGURATION = "configuration"  # stop until somebody changes something
    OWNERSHIP = "ownership"  # the stream is no longer this worker's: leave without a trace
    UNKNOWN = "unknown"  # stop: never skip what is not understood


_TRANSIENT_LABELS = (
    "TransientTransactionError",
    "UnknownTransactionCommitResult",
    "RetryableWriteError",
    "ResumableChangeStreamError",
)
# HostUnreachable, HostNotFound, LockTimeout, CursorNotFound, LockBusy, MaxTimeMSExpired,
# WriteConcernFailed, NetworkTimeout, ShutdownInProgress, WriteConflict,
# FailedToSatisfyReadPreference, ReadConcernMajorityNotAvailableYet, PrimarySteppedDown,
# NetworkInterfaceExceededTimeLimit, TransactionTooOld, RetryChangeStream, CursorKilled,
# TransactionAborted, SnapshotUnavailable, NoSuchTransaction, ExceededTimeLimit,
# SnapshotTooOld, SocketException, NotWritablePrimary, InterruptedAtShutdown, Interrupted,
# InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary, StaleConfig,
# and Cosmos DB's "too many requests".
_TRANSIENT_CODES = frozenset(
    {6, 7, 24, 43, 46, 50, 64, 89, 91, 112, 133, 134, 189, 202, 225, 234, 237, 239, 244, 246, 251}
    | {262, 9001, 10107, 11600, 11601, 11602, 13388, 13435, 13436, 16500}
)
# Unauthorized, AuthenticationFailed, ReauthenticationRequired.
_AUTHENTICATION_CODES = frozenset({13, 18, 391})
# CappedPositionLost, InvalidResumeToken, ChangeStreamFatalError, ChangeStreamHistoryLost, and the
# older "resume of change stream was not possible".
_HISTORY_CODES = frozenset({136, 260, 280, 286, 40576, 40585})
# TransactionTooLarge, TransactionExceededLifetimeLimitSeconds, TransactionTooLargeForCache.
_TOO_MUCH_CODES = frozenset({257, 290, 388})
# IllegalOperation (no transactions here), CommandNotFound, InvalidOptions, InvalidNamespace,
# OptionNotSupportedOnView, CommandNotSupported, unrecognised stage, no change streams here.
_CONFIGURATION_CODES = frozenset({20, 59, 72, 73, 115, 166, 167, 303, 40324, 40573})

_BY_TYPE: tuple[tuple[type[Exception], FailureKind], ...] = (
    (TokenUnavailable, FailureKind.TRANSIENT),
    (HistoryLost, FailureKind.HISTORY_LOST),
    (PoisonEvent, FailureKind.POISON),
    (TooBusy, FailureKind.TRANSIENT),
    (TooMuchAtOnce, FailureKind.TOO_MUCH),
    (NoTransactions, FailureKind.CONFIGURATION),
    (TooEarly, FailureKind.POISON),
    (Interrupted, FailureKind.OWNERSHIP),
    (LeaseLost, FailureKind.OWNERSHIP),
    (Fenced, FailureKind.OWNERSHIP),
    (SignInFailed, FailureKind.CONFIGURATION),
    (MissingPermission, FailureKind.CONFIGURATION),
    (InvalidConfiguration, FailureKind.CONFIGURATION),
    (SnapshotOutlastsHistory, FailureKind.CONFIGURATION),
    (UnknownConnection, FailureKind.CONFIGURATION),
    (ConfigurationError, FailureKind.CONFIGURATION),
    (ConnectionFailure, FailureKind.TRANSIENT),
    (ProtocolError, FailureKind.TRANSIENT),  # an answer that nobody understands, as half of one
    (DatabaseError, FailureKind.TRANSIENT),  # Django's: a connection's row could not be read
    (DocumentTooLarge, FailureKind.POISON),
    (BSONError, FailureKind.POISON),
)
_BY_CODE: tuple[tuple[frozenset[int], FailureKind], ...] = (
    (_HISTORY_CODES, FailureKind.HISTORY_LOST),
    (_AUTHENTICATION_CODES, FailureKind.REAUTHENTICATE),
    (POISON_CODES, FailureKind.POISON),
    (_TOO_MUCH_CODES, FailureKind.TOO_MUCH),
    (_TRANSIENT_CODES, FailureKind.TRANSIENT),
    (_CONFIGURATION_CODES, FailureKind.CONFIGURATION),
)

# MaxTimeMSExpired, ExceededTimeLimit, and Cosmos DB's "too many requests".
_THROTTLED_CODES = frozenset({50, 262, 16500})
_RETRY_AFTER = re.compile(r"RetryAfterMs\s*[=:]\s*(\d{1,7})")
_PAUSE = "retryAfterMs"


def is_throttled(error: BaseException) -> bool:
    """Whether a server has more to do than it can: less at once will help it."""
    return isinstance(error, OperationFailure) and error.code in _THROTTLED_CODES


def wanted_pause(error: BaseException) -> float:
    """Return for how many seconds a server asks to be left alone, 0 if it does not say."""
    if not isinstance(error, OperationFailure):
        return 0.0
    found = _wanted_pause({"errmsg": str(error), **(error.details or {})})
    return float(found.get(_PAUSE, 0)) / 1000


def _wanted_pause(error: Mapping[str, Any]) -> dict[str, int]:
    """Return the pause of an answer in milliseconds, under the name that it has by itself."""
    given = error.get(_PAUSE)
    if isinstance(given, int):
        return {_PAUSE: given}
    found = _RETRY_AFTER.search(str(error.get("errmsg", "")))
    return {_PAUSE: int(found[1])} if found else {}


def sort_failure(error: BaseException) -> FailureKind:
    """Decide what a failure means. What nothing here knows is UNKNOWN, which stops the flow."""
    for known, kind in _BY_TYPE:
        if isinstance(error, known):
            return kind
    if isinstance(error, OperationFailure):
        for codes, kind in _BY_CODE:
            if error.code in codes:
                return kind
    if isinstance(error, PyMongoError) and any(map(error.has_error_label, _TRANSIENT_LABELS)):
        return FailureKind.TRANSIENT
    return FailureKind.UNKNOWN


def describe(error: BaseException) -> str:
    """Say what happened in one line that is safe to log and to show.

    A server's message may quote documents (a duplicate key, a whole bulk), so of its answer only
    the code and its name are kept.
    """
    if isinstance(error, BulkWriteError):
        codes = sorted({item.get("code", 0) for item in (error.details or {})["writeErrors"]})
        return f"BulkWriteError with codes {codes}"
    if isinstance(error, OperationFailure | NotPrimaryError):
        answer: Any = error.details or {}
        code = error.code if isinstance(error, OperationFailure) else answer.get("code")
        name = answer.get("codeName", "")
        return f"{type(error).__name__} {code}{f' ({name})' if name else ''}"
    if isinstance(error, ReplicationError):
        return str(error)
    if isinstance(error, ConnectionFailure | ConfigurationError):
        # Behind the comma pymongo describes its whole topology.
        return f"{type(error).__name__}: {str(error).partition(', Timeout:')[0][:300]}"
    return type(error).__name__
