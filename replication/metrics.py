"""The numbers that an operator watches. They hold names and counts, never a token or an address.

With PROMETHEUS_MULTIPROC_DIR in the environment (see ``METRICS_DIR`` in the settings) the processes
of a group add up in files; ``finops.metrics`` shows them.
"""

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# The moment of expiry; ``finops.metrics`` shows replicator_mongo_token_expires_in_seconds from it,
# because a number of seconds left would be wrong a second after it was written down.
EXPIRY_METRIC: Final = "replicator_mongo_token_expiry_timestamp_seconds"

_auth_attempts = Counter(
    "replicator_mongo_auth_attempts",
    "Sign-ins of MongoDB connections by an Entra token, first ones and later ones.",
    ["connection", "result", "reason"],
)
_auth_duration = Histogram(
    "replicator_mongo_auth_duration_seconds",
    "How long a sign-in of a MongoDB connection took, a wait for a token included.",
    ["connection"],
    buckets=_SECONDS,
)
_reauth = Counter(
    "replicator_mongo_reauth",
    "Sign-ins that a server asked for on a connection in use, because its token had expired.",
    ["connection"],
)
_token_requests = Counter(
    "replicator_mongo_token_requests",
    "Requests to Entra ID for a token, each with its repetitions.",
    ["result"],
)
_token_request_duration = Histogram(
    "replicator_mongo_token_request_duration_seconds",
    "How long a request to Entra ID for a token took, with its repetitions.",
    buckets=_SECONDS,
)
_cache_hits = Counter(
    "replicator_mongo_token_cache_hits", "Tokens that were handed out from memory."
)
_cache_misses = Counter(
    "replicator_mongo_token_cache_misses", "Calls that had to wait for a token to be requested."
)
_refresh_failures = Counter(
    "replicator_mongo_token_refresh_failures",
    "Requests for the successor of a token in memory that failed.",
)
_token_expiry = Gauge(
    EXPIRY_METRIC,
    "When the token in memory expires; of several processes, the earliest.",
    ["scope"],
    multiprocess_mode="livemin",
)

_STREAM = ("flow", "collection")
_events = Counter("replicator_flow_events", "Changes of the source that were applied.", _STREAM)
_bytes = Counter("replicator_flow_bytes", "Bytes of documents in those changes.", _STREAM)
_batches = Counter("replicator_flow_batches", "Commits of changes.", _STREAM)
_retries = Counter(
    "replicator_flow_retries",
    "Attempts that failed and were to be repeated.",
    [*_STREAM, "reason"],
)
_lease_changes = Counter(
    "replicator_flow_lease_changes", "How often this process took a stream over.", _STREAM
)
_copied = Counter(
    "replicator_snapshot_documents", "Documents of the source that snapshots were through.", _STREAM
)

# The library's locks are not made anew after a fork. So one of our own is held around every
# update, and over a fork: then no lock of the library is ever held by a thread that is left behind.
_updates = threading.Lock()
# Hits of the cache that the counter does not have yet. Threads that queue for a lock hand the
# interpreter to each other at every call, which costs several times the call. So a hit never
# waits: where the lock is taken, it is left here for whoever has it.
_untold_hits: deque[None] = deque()


def count_cache_hit() -> None:
    """Count a token that was handed out from memory. Waits for nobody."""
    _untold_hits.append(None)
    _tell_hits()


def _tell_hits() -> None:
    # Looks again after each release: whoever came meanwhile has found the lock taken, and gone.
    while _untold_hits and _updates.acquire(blocking=False):
        try:
            count = len(_untold_hits)
            _cache_hits.inc(count)
            for _ in range(count):
                _untold_hits.popleft()
        finally:
            _updates.release()


@contextmanager
def _update() -> Iterator[None]:
    with _updates:
        yield
    _tell_hits()


def _end_fork_in_parent() -> None:
    _updates.release()
    _tell_hits()


def _begin_child() -> None:
    _untold_hits.clear()  # the parent's, which tells of them
    _updates.release()


os.register_at_fork(
    before=_updates.acquire, after_in_parent=_end_fork_in_parent, after_in_child=_begin_child
)


def count_cache_miss() -> None:
    """Count a caller that waits for a token request."""
    with _update():
        _cache_misses.inc()


def observe_token_request(*, seconds: float, succeeded: bool, renewal: bool) -> None:
    """Count a request for a token; ``renewal`` says that another one was in memory."""
    with _update():
        _token_requests.labels("success" if succeeded else "failure").inc()
        _token_request_duration.observe(seconds)
        if renewal and not succeeded:
            _refresh_failures.inc()


def note_token_expiry(*, scope: str, expires_at: float) -> None:
    """Write down when the current token of a scope expires, in seconds since the epoch."""
    with _update():
        _token_expiry.labels(scope).set(expires_at)


def observe_sign_in(*, connection: str, seconds: float, reason: str, again: bool) -> None:
    """Count the sign-in of a connection; an empty ``reason`` says that it succeeded."""
    with _update():
        _auth_attempts.labels(connection, "failure" if reason else "success", reason).inc()
        _auth_duration.labels(connection).observe(seconds)
        if again:
            _reauth.labels(connection).inc()


def count_batch(flow: str, collection: str, *, events: int, size: int) -> None:
    """Count a batch of changes that was committed; ``size`` is in bytes."""
    with _update():
        _events.labels(flow, collection).inc(events)
        _bytes.labels(flow, collection).inc(size)
        _batches.labels(flow, collection).inc()


def count_retry(flow: str, collection: str, reason: str) -> None:
    """Count a failed attempt at something that is going to be repeated."""
    with _update():
        _retries.labels(flow, collection, reason).inc()


def count_lease_change(flow: str, collection: str) -> None:
    """Count a stream that has a new owner."""
    with _update():
        _lease_changes.labels(flow, collection).inc()


def count_copied(flow: str, collection: str, documents: int) -> None:
    """Count documents that a snapshot has read and brought to its copy, or found there."""
    with _update():
        _copied.labels(flow, collection).inc(documents)
