"""The token of one identity for one scope, and its renewal. Everything about time is here.

pymongo asks for a token only when it has none or the server refused the one it had, never ahead,
and each of its clients asks for itself. So one cache serves all clients of a process: it asks
Entra ID once for all of them, ahead of expiry, and never hands out a token again that a server has
refused.
"""

import hashlib
import os
import threading
import time
from collections import deque
from contextvars import copy_context
from weakref import WeakSet, ref

from replication import metrics
from replication.auth.azure_entra import AccessToken, EntraError, TokenSource
from replication.auth.claims import token_identity
from replication.auth.config import RetryConfig
from replication.auth.credentials import Clocks, Credentials
from replication.auth.events import AuthEvent, announce, correlated
from replication.errors import TokenUnavailable

NEGATIVE_CACHE = 1.0  # seconds that a failure is remembered, so that callers do not queue behind it
_SHORTEST_WAIT = 1.0  # seconds: pymongo truncates its timeout, so 0 means less than one
_LONGEST_SLEEP = 30.0  # seconds between looks at a clock that may have been set


class TokenCache:
    """Hands out the current token, from memory while it lasts. Safe for threads and over forks."""

    def __init__(
        self,
        scope: str,
        source: TokenSource,
        *,
        retry: RetryConfig,
        refresh_before_expiry: float,
        clocks: Clocks | None = None,
        background: bool = True,
    ) -> None:
        self._scope = scope
        self._source = source
        self._retry = retry
        self._ahead = refresh_before_expiry
        self._clocks = clocks or Clocks()
        self._background = background
        self._current: Credentials | None = None
        self._generation = 0
        self._refused: deque[bytes] = deque(maxlen=16)
        # What was handed out last: generation, fingerprint, and until when it should have worked.
        self._issued: deque[tuple[int, bytes, float]] = deque(maxlen=16)
        self._begin_process()
        _CACHES.add(self)

    def _begin_process(self) -> None:
        """Replace what a fork must not inherit: locks, threads, requests. A valid token stays."""
        self._changed = threading.Condition()
        self._requesting = False
        self._failure = ""
        self._failed_until = 0.0
        self._refresh_again_at = 0.0
        self._refresher: threading.Thread | None = None

    def get(self, *, timeout: float, refused: int | None = None) -> Credentials:
        """Return a token with some life left that no server has refused.

        Waits at most ``timeout`` seconds for a request. ``refused`` is the generation of the token
        that a server has just refused or called expired.

        Raises:
            TokenUnavailable: after the wait, after a failed request, or at once within a second
                of one. A token that is still valid is returned instead.
        """
        if refused is not None:
            self._refuse(refused)
        current = self._current  # without the lock: what is valid now is good enough
        if current is None or self._clocks.now() >= current.renew_by:
            return self._wait(timeout)
        if self._background and (self._refresher is None or not self._refresher.is_alive()):
            with self._changed:
                self._ensure_refresher()
        metrics.count_cache_hit()
        announce(AuthEvent.TOKEN_CACHE_HIT, scope=self._scope, generation=current.generation)
        return current

    def _wait(self, timeout: float) -> Credentials:
        metrics.count_cache_miss()
        deadline = time.monotonic() + max(_SHORTEST_WAIT, timeout)
        with self._changed:
            while True:
                current = self._current
                if current is not None and self._clocks.now() < current.renew_by:
                    return current
                if self._clocks.elapsed() < self._failed_until:
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
            if self._seconds_until_due(current) > 0:
                return
            self._requesting = True
        with correlated():
            self._request()

    def close(self) -> None:
        """End the background thread; using the cache again starts it again."""
        with self._changed:
            thread, self._refresher = self._refresher, None
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def _refuse(self, generation: int) -> None:
        with self._changed:
            current = self._current
            if current is not None and current.generation == generation:
                self._current = None
            # News of an older one comes late; Entra ID must not bring that one back either.
            unexpired = [
                fingerprint
                for number, fingerprint, end in self._issued
                if number == generation and self._clocks.now() < end
            ]
            new = [fingerprint for fingerprint in unexpired if fingerprint not in self._refused]
            self._refused.extend(new)
        if new:
            announce(AuthEvent.TOKEN_REFUSED, scope=self._scope, generation=generation)

    def _stale_or_raise(self, failure: str) -> Credentials:
        current = self._current
        if current is not None and self._clocks.now() < current.expires_at:
            return current
        raise TokenUnavailable(f"No Entra token for {self._scope}: {failure}")

    def _start_request(self) -> None:
        """Ask in a thread of its own: a service that hangs must not outlast a caller's timeout."""
        self._requesting = True
        with correlated():  # the thread's events belong to whoever asked first
            context = copy_context()
        threading.Thread(
            target=context.run, args=(self._request,), name="mongo-token-request", daemon=True
        ).start()

    def _request(self) -> None:
        """Ask for a token, as the only thread that does, and wake those that wait for it."""
        before = self._current
        began = self._clocks.elapsed()
        kept: Credentials | None = None
        failure = "the request was interrupted"
        try:
            token, failure = self._ask()
            if token is not None:
                kept = self._credentials(token)
        except Exception as error:  # noqa: BLE001 - whoever waits must learn of it, and try again
            failure = f"an unexpected {type(error).__name__}"
        finally:
            seconds = self._clocks.elapsed() - began
            try:
                metrics.observe_token_request(
                    seconds=seconds, succeeded=kept is not None, renewal=before is not None
                )
                self._tell(before, kept, failure, seconds)
            finally:  # whatever the telling ran into, those that wait must not wait for ever
                self._settle(kept, failure)

    def _settle(self, kept: Credentials | None, failure: str) -> None:
        with self._changed:
            self._requesting = False
            if kept is None:
                self._remember(failure)
            else:
                self._failed_until = self._refresh_again_at = 0.0
                self._current = kept
                self._issued.append((kept.generation, _fingerprint(kept.token), kept.renew_by))
                self._ensure_refresher()
            self._changed.notify_all()

    def _ask(self) -> tuple[AccessToken | None, str]:
        """Return a token, or None and the reason after the last attempt."""
        failure = ""
        began = self._clocks.elapsed()
        for attempt in range(1, self._retry.attempts + 1):
            try:
                token = self._source.request_token(self._scope)
            except EntraError as error:
                failure = str(error)
            else:
                if token.expires_at <= self._clocks.now():
                    failure = "the token had expired when it came: is this machine's clock right?"
                elif _fingerprint(token.token) in self._refused:
                    failure = "Entra ID repeated the token that the server has refused"
                else:
                    return token, ""
            delay = self._retry.delay(attempt)
            if self._clocks.elapsed() - began + delay > self._retry.budget:
                break
            if attempt < self._retry.attempts:
                self._clocks.pause(delay)
        return None, failure

    def _credentials(self, token: AccessToken) -> Credentials:
        life = token.expires_at - self._clocks.now()
        refresh_at = token.refresh_at
        if refresh_at is None or refresh_at > token.expires_at - self._ahead:
            early = self._ahead if life > 2 * self._ahead else life / 2
            refresh_at = token.expires_at - early
        tenant_id, object_id = token_identity(token.token)
        self._generation += 1  # by the one thread that asks
        return Credentials(
            token=token.token,
            expires_at=token.expires_at,
            refresh_at=refresh_at,
            renew_by=token.expires_at - min(5.0, life / 10),
            generation=self._generation,
            scope=self._scope,
            tenant_id=tenant_id,
            object_id=object_id,
        )

    def _tell(
        self, before: Credentials | None, kept: Credentials | None, failure: str, seconds: float
    ) -> None:
        took = round(seconds, 3)
        if kept is None:
            announce(AuthEvent.TOKEN_FAILED, scope=self._scope, reason=failure, seconds=took)
            return
        metrics.note_token_expiry(scope=self._scope, expires_at=kept.expires_at)
        announce(
            AuthEvent.TOKEN_REFRESHED if before else AuthEvent.TOKEN_ACQUIRED,
            scope=self._scope,
            tenant_id=kept.tenant_id,
            object_id=kept.object_id,
            expires_in=round(kept.expires_at - self._clocks.now(), 1),
            seconds=took,
        )

    def _remember(self, failure: str) -> None:
        current = self._current
        left = 0.0 if current is None else current.expires_at - self._clocks.now()
        elapsed = self._clocks.elapsed()
        self._failure, self._failed_until = failure, elapsed + NEGATIVE_CACHE
        # With much life left there is no hurry; with little, the next attempt comes in a second.
        self._refresh_again_at = elapsed + min(max(left / 10, NEGATIVE_CACHE), _LONGEST_SLEEP)

    def _seconds_until_due(self, current: Credentials) -> float:
        return max(
            current.refresh_at - self._clocks.now(),
            self._refresh_again_at - self._clocks.elapsed(),
        )

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
                left = _LONGEST_SLEEP
                if current is not None and not self._requesting:  # a request's end wakes this one
                    left = self._seconds_until_due(current)
                self._changed.wait(min(max(left, 0.01), _LONGEST_SLEEP))
            return self._refresher is threading.current_thread()


def _refresh_ahead(cache_ref: "ref[TokenCache]") -> None:
    # Only a weak reference is kept between two looks, so that a cache can go out of use.
    while (cache := cache_ref()) is not None and cache._wait_until_due():
        cache.refresh_if_due()
        del cache


def _fingerprint(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


_CACHES: "WeakSet[TokenCache]" = WeakSet()


def _begin_child() -> None:
    for cache in list(_CACHES):
        cache._begin_process()


os.register_at_fork(after_in_child=_begin_child)
