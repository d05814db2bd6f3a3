"""The one keeper of Entra tokens for MongoDB.

pymongo asks for a token only when it has none or the server refused the one it had, never ahead,
and each of its clients asks for itself. So one provider per identity and scope serves all clients
of a process: it asks Entra ID once for all of them, ahead of expiry, and never hands out a token
again that a server has refused.
"""

import hashlib
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakSet, ref

import structlog

from replication.auth.azure_entra import (
    AccessToken,
    AzureEntraConfig,
    AzureEntraProvider,
    EntraError,
    TokenSource,
)
from replication.auth.claims import token_identity
from replication.errors import TokenUnavailable

log = structlog.get_logger(__name__)

NEGATIVE_CACHE = 1.0  # seconds that a failure is remembered, so that callers do not queue behind it
_SHORTEST_WAIT = 1.0  # seconds: pymongo truncates its timeout, so 0 means less than one
_LONGEST_SLEEP = 30.0  # seconds between looks at a clock that may have been set


@dataclass(frozen=True)
class RetryConfig:
    """How a failed token request is repeated before it counts as failed. Times in seconds."""

    attempts: int = 3
    first_delay: float = 0.1
    max_delay: float = 1.0

    def delay(self, attempt: int) -> float:
        """Return the pause after the failed attempt number ``attempt`` (1 is the first)."""
        ceiling = min(self.max_delay, self.first_delay * 2 ** (attempt - 1))
        return random.uniform(0, ceiling)  # noqa: S311 - jitter, not a secret


@dataclass(frozen=True)
class MongoEntraConfig:
    """What one provider serves: an identity, a scope, and how far ahead it renews (seconds)."""

    identity: AzureEntraConfig
    scope: str
    refresh_before_expiry: float = 300.0
    retry: RetryConfig = field(default_factory=RetryConfig)


@dataclass(frozen=True)
class Credentials:
    """A token and what is known of it. Times are in seconds since the epoch.

    From ``refresh_at`` on it is renewed in the background; from ``renew_by`` on callers wait for
    its successor. ``generation`` counts the provider's tokens: hand it back as ``refused`` when a
    server has refused this one.
    """

    token: str = field(repr=False)
    expires_at: float
    refresh_at: float
    renew_by: float
    generation: int
    scope: str
    tenant_id: str | None = None
    object_id: str | None = None


class MongoEntraTokenProvider:
    """Hands out the current token, from memory while it lasts. Safe for threads and over forks."""

    def __init__(
        self,
        config: MongoEntraConfig,
        source: TokenSource,
        *,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
        background: bool = True,
    ) -> None:
        self._config = config
        self._source = source
        self._clock = clock
        self._pause = pause
        self._background = background
        self._current: Credentials | None = None
        self._generation = 0
        self._refused: deque[bytes] = deque(maxlen=16)
        self._begin_process()
        _PROVIDERS.add(self)

    def _begin_process(self) -> None:
        """Replace what a fork must not inherit: locks, threads, requests. A valid token stays."""
        self._changed = threading.Condition()
        self._requesting = False
        self._failure = ""
        self._failed_until = 0.0
        self._refresh_again_at = 0.0
        self._refresher: threading.Thread | None = None

    def get_mongo_token(self, *, timeout: float = 10.0, refused: int | None = None) -> Credentials:
        """Return a token with some life left that no server has refused.

        Waits at most ``timeout`` seconds for a request. ``refused`` is the
        generation of the token that a server has just refused or called expired.

        Raises:
            TokenUnavailable: after the wait, after a failed request, or at once within a second
                of one. A token that is still valid is returned instead.
        """
        deadline = time.monotonic() + max(_SHORTEST_WAIT, timeout)
        with self._changed:
            if refused is not None:
                self._refuse(refused)
            while True:
                now = self._clock()
                current = self._current
                if current is not None and now < current.renew_by:
                    self._ensure_refresher()
                    return current
                if now < self._failed_until:
                    return self._stale_or_raise(self._failure)
                if not self._requesting:
                    self._start_request()
                if not self._changed.wait(deadline - time.monotonic()):
                    return self._stale_or_raise("the request is still under way")

    def refresh_if_due(self) -> None:
        """Renew the token if its time has come; the old one stays in use if that fails."""
        with self._changed:
            current = self._current
            if self._requesting or current is None:
                return
            if self._clock() < max(current.refresh_at, self._refresh_again_at):
                return
            self._requesting = True
        self._request()

    def close(self) -> None:
        """End the background thread; using the provider again starts it again."""
        with self._changed:
            thread, self._refresher = self._refresher, None
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def _refuse(self, generation: int) -> None:
        current = self._current
        if current is None or current.generation != generation:
            return  # a newer token is there already
        if self._clock() < current.renew_by:
            log.warning("mongo_token_refused", scope=self._config.scope, generation=generation)
            self._refused.append(_fingerprint(current.token))
        self._current = None

    def _stale_or_raise(self, failure: str) -> Credentials:
        current = self._current
        if current is not None and self._clock() < current.expires_at:
            return current
        raise TokenUnavailable(f"No Entra token for {self._config.scope}: {failure}")

    def _start_request(self) -> None:
        """Ask in a thread of its own: a service that hangs must not outlast a caller's timeout."""
        self._requesting = True
        threading.Thread(target=self._request, name="mongo-token-request", daemon=True).start()

    def _request(self) -> None:
        """Ask for a token, as the only thread that does, and wake those that wait for it."""
        token: AccessToken | None = None
        failure = "the request was interrupted"
        try:
            token, failure = self._ask()
        except Exception as error:  # noqa: BLE001 - whoever waits must learn of it, and try again
            failure = f"an unexpected {type(error).__name__}"
        finally:
            with self._changed:
                self._requesting = False
                if token is not None:
                    self._keep(token)
                    self._ensure_refresher()
                else:
                    self._remember(failure)
                self._changed.notify_all()

    def _ask(self) -> tuple[AccessToken | None, str]:
        """Return a token, or None and the reason after the last attempt."""
        failure = ""
        retry = self._config.retry
        for attempt in range(1, retry.attempts + 1):
            try:
                token = self._source.request_token(self._config.scope)
            except EntraError as error:
                failure = str(error)
            else:
                if _fingerprint(token.token) not in self._refused:
                    return token, ""
                failure = "Entra ID repeated the token that the server has refused"
            if attempt < retry.attempts:
                self._pause(retry.delay(attempt))
        return None, failure

    def _keep(self, token: AccessToken) -> None:
        now = self._clock()
        life = max(0.0, token.expires_at - now)
        ahead = self._config.refresh_before_expiry
        refresh_at = token.refresh_at
        if refresh_at is None or refresh_at > token.expires_at - ahead:
            refresh_at = token.expires_at - (ahead if life > 2 * ahead else life / 2)
        tenant_id, object_id = token_identity(token.token)
        self._generation += 1
        self._failed_until = self._refresh_again_at = 0.0
        self._current = Credentials(
            token=token.token,
            expires_at=token.expires_at,
            refresh_at=refresh_at,
            renew_by=token.expires_at - min(5.0, life / 10),
            generation=self._generation,
            scope=self._config.scope,
            tenant_id=tenant_id,
            object_id=object_id,
        )
        log.info(
            "mongo_token_acquired",
            scope=self._config.scope,
            tenant_id=tenant_id,
            object_id=object_id,
            expires_in=round(life, 1),
        )

    def _remember(self, failure: str) -> None:
        now = self._clock()
        left = 0.0 if self._current is None else self._current.expires_at - now
        self._failure, self._failed_until = failure, now + NEGATIVE_CACHE
        # With much life left there is no hurry; with little, the next attempt comes in a second.
        self._refresh_again_at = now + min(max(left / 10, NEGATIVE_CACHE), _LONGEST_SLEEP)
        log.warning("mongo_token_failed", scope=self._config.scope, reason=failure)

    def _ensure_refresher(self) -> None:
        if self._background and (self._refresher is None or not self._refresher.is_alive()):
            self._refresher = threading.Thread(
                target=_refresh_ahead, args=(ref(self),), name="mongo-token-refresh", daemon=True
            )
            self._refresher.start()

    def _wait_until_due(self) -> bool:
        """Wait for the next refresh, or for a while. False: this thread is no longer wanted."""
        with self._changed:
            if self._refresher is threading.current_thread():
                current = self._current
                due = 0.0 if current is None else max(current.refresh_at, self._refresh_again_at)
                left = due - self._clock() if current is not None else _LONGEST_SLEEP
                self._changed.wait(min(max(left, 0.01), _LONGEST_SLEEP))
            return self._refresher is threading.current_thread()


def new_mongo_entra_provider(config: MongoEntraConfig) -> MongoEntraTokenProvider:
    """Return a provider that asks Entra ID as ``config`` says. Opens no connection."""
    return MongoEntraTokenProvider(config, AzureEntraProvider(config.identity))


def _refresh_ahead(provider_ref: "ref[MongoEntraTokenProvider]") -> None:
    # Only a weak reference is kept between two looks, so that a provider can go out of use.
    while (provider := provider_ref()) is not None and provider._wait_until_due():
        provider.refresh_if_due()
        del provider


def _fingerprint(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


_PROVIDERS: "WeakSet[MongoEntraTokenProvider]" = WeakSet()


def _begin_child() -> None:
    for provider in list(_PROVIDERS):
        provider._begin_process()


os.register_at_fork(after_in_child=_begin_child)
