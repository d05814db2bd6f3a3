"""Every failure is sorted in one place, and described without what it carries."""

import pytest
from bson.errors import InvalidBSON
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from replication.errors import (
    FailureKind,
    Fenced,
    HistoryLost,
    InvalidConfiguration,
    LeaseLost,
    TokenUnavailable,
    describe,
    sort_failure,
)


def failure(code: int, *labels: str) -> OperationFailure:
    return OperationFailure("dup key: {secret}", code, {"errorLabels": list(labels)})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AutoReconnect("x"), FailureKind.TRANSIENT),
        (NetworkTimeout("x"), FailureKind.TRANSIENT),
        (ServerSelectionTimeoutError("x"), FailureKind.TRANSIENT),
        (TokenUnavailable("x"), FailureKind.TRANSIENT),
        (failure(112), FailureKind.TRANSIENT),
        (failure(251, "TransientTransactionError"), FailureKind.TRANSIENT),
        (failure(99999, "ResumableChangeStreamError"), FailureKind.TRANSIENT),
        (failure(16500), FailureKind.TRANSIENT),
        (failure(13), FailureKind.REAUTHENTICATE),
        (failure(18), FailureKind.REAUTHENTICATE),
        (failure(391), FailureKind.REAUTHENTICATE),
        (failure(286), FailureKind.HISTORY_LOST),
        (failure(260), FailureKind.HISTORY_LOST),
        (HistoryLost("x"), FailureKind.HISTORY_LOST),
        (failure(11000), FailureKind.POISON),
        (failure(121), FailureKind.POISON),
        (InvalidBSON("x"), FailureKind.POISON),
        (failure(20), FailureKind.CONFIGURATION),
        (ConfigurationError("x"), FailureKind.CONFIGURATION),
        (InvalidConfiguration(["x"]), FailureKind.CONFIGURATION),
        (Fenced("x"), FailureKind.OWNERSHIP),
        (LeaseLost("x"), FailureKind.OWNERSHIP),
        (failure(99999), FailureKind.UNKNOWN),
        (PyMongoError("x"), FailureKind.UNKNOWN),
        (KeyError("x"), FailureKind.UNKNOWN),
    ],
)
def test_failures_are_sorted(error: Exception, kind: FailureKind) -> None:
    assert sort_failure(error) is kind


def test_a_poison_document_is_poison_even_when_a_label_promises_otherwise() -> None:
    assert sort_failure(failure(11000, "TransientTransactionError")) is FailureKind.POISON


@pytest.mark.parametrize(
    "error",
    [
        failure(11000),
        NotPrimaryError("secret", {"code": 91, "errmsg": "secret"}),
        BulkWriteError({"writeErrors": [{"code": 11000, "errmsg": "{secret}"}]}),
        KeyError("secret"),
        InvalidBSON("secret"),
    ],
)
def test_a_description_never_quotes_a_document(error: Exception) -> None:
    assert "secret" not in describe(error)
    assert type(error).__name__ in describe(error)


def test_a_dead_server_is_described_without_the_drivers_topology() -> None:
    error = ServerSelectionTimeoutError("h:1: refused, Timeout: 3s, Topology Description: <…>")
    assert describe(error) == "ServerSelectionTimeoutError: h:1: refused"
