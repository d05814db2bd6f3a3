"""What happens on the way to MongoDB, told to the log and to Django's signals in one place.

Each event has a correlation id: that of the web request or the task that caused it, and one of
its own where nobody waits for it, as for a refresh in the background.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from uuid import uuid4

import structlog

from replication.auth.signals import authentication_event

log = structlog.get_logger(__name__)
_standard_log = logging.getLogger(__name__)

# Whoever binds one of these to structlog's context gives the events their id.
_IDS = ("correlation_id", "request_id", "task_id")


class AuthEvent(StrEnum):
    """An authentication event; its text is the name of its log line."""

    TOKEN_ACQUIRED = "mongo_token_acquired"
    TOKEN_REFRESHED = "mongo_token_refreshed"
    TOKEN_CACHE_HIT = "mongo_token_cache_hit"
    TOKEN_REFUSED = "mongo_token_refused"  # by a server, although it had not expired
    TOKEN_FAILED = "mongo_token_failed"
    SIGNED_IN = "mongo_signed_in"
    REAUTHENTICATED = "mongo_reauthenticated"
    SIGN_IN_FAILED = "mongo_sign_in_failed"


_LEVELS = {
    AuthEvent.TOKEN_CACHE_HIT: logging.DEBUG,
    AuthEvent.SIGNED_IN: logging.DEBUG,
    AuthEvent.REAUTHENTICATED: logging.DEBUG,
    AuthEvent.TOKEN_REFUSED: logging.WARNING,
    AuthEvent.TOKEN_FAILED: logging.WARNING,
    AuthEvent.SIGN_IN_FAILED: logging.WARNING,
}


def announce(event: AuthEvent, **facts: object) -> None:
    """Log an event and send its signal. Call it without a lock: receivers may do anything."""
    level = _LEVELS.get(event, logging.INFO)
    heard = authentication_event.has_listeners(event)
    if level == logging.DEBUG and not heard and not _standard_log.isEnabledFor(level):
        return  # a hit of the cache must cost next to nothing
    correlation = correlation_id()
    log.log(level, event.value, correlation_id=correlation, **facts)
    if heard:
        authentication_event.send_robust(event, correlation_id=correlation, **facts)


def correlation_id() -> str:
    """Return the id of what runs here now, or a new one."""
    bound = structlog.contextvars.get_contextvars()
    return next((str(bound[name]) for name in _IDS if bound.get(name)), "") or uuid4().hex


@contextmanager
def correlated() -> Iterator[None]:
    """Give all events of the block one id."""
    with structlog.contextvars.bound_contextvars(correlation_id=correlation_id()):
        yield
