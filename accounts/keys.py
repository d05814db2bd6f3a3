"""Entra's signing keys: cached, refetched when due, and never at an attacker's pace.

The schedule is Microsoft's (signing-key rollover): refresh hourly, forget after a day, and look
again at once when a key id is unknown, but at most once per window.
"""

import functools
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from accounts.transport import Transport, Unreachable

logger = structlog.stdlib.get_logger("accounts.keys")

REFRESH_AFTER = 3600.0  # seconds
FORGET_AFTER = 24 * 3600.0  # seconds
UNKNOWN_KEY_WINDOW = 300.0  # seconds
RETRY_AFTER = 30.0  # seconds, after a refresh that failed
MIN_BITS = 2048


class UnknownKey(LookupError):
    """No current signing key has this key id."""


class KeyCache:
    """The keys behind one address, by key id."""

    def __init__(
        self,
        fetch: Callable[[], Mapping[str, Any]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = self._sought_at = float("-inf")

    def key_for(self, kid: str) -> jwt.PyJWK:
        """Return the key with this id. Raises ``UnknownKey``, or ``Unreachable`` without any."""
        with self._lock:
            now = self._clock()
            if now - self._fetched_at > FORGET_AFTER:
                self._keys = {}
            if not self._keys or self._refresh_is_due(now):
                self._refresh(now)
            elif kid not in self._keys and now - self._sought_at >= UNKNOWN_KEY_WINDOW:
                self._sought_at = now
                self._refresh(now)
            if kid not in self._keys:
                raise UnknownKey
            return self._keys[kid]

    def _refresh_is_due(self, now: float) -> bool:
        return now - self._fetched_at >= REFRESH_AFTER and now - self._tried_at >= RETRY_AFTER

    def _refresh(self, now: float) -> None:
        self._tried_at = now
        try:
            keys = read_keys(self._fetch())
        except (Unreachable, ValueError) as error:
            if not self._keys:
                raise Unreachable(f"no signing keys: {error}") from None
            logger.warning("signing_keys_kept", error=str(error))
        else:
            self._keys, self._fetched_at = keys, now


def read_keys(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """Return the RSA signing keys of a key set, by id, bound to RS256.

    Raises ``ValueError`` when there is none: an empty set would lock everybody out.
    """
    entries = document.get("keys")
    keys = {}
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("kid"), str):
            continue
        if entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(dict(entry), algorithm="RS256")
        except jwt.PyJWTError:
            continue
        if isinstance(key.key, RSAPublicKey) and key.key.key_size >= MIN_BITS:
            keys[entry["kid"]] = key
    if not keys:
        raise ValueError("the key set has no RSA signing key")
    return keys


def signing_key(kid: str, *, keys_url: str) -> jwt.PyJWK:
    """Return the key with this id of the set at ``keys_url``. Raises as ``KeyCache.key_for``."""
    return _cache(keys_url).key_for(kid)


def forget() -> None:
    """Drop what is cached."""
    _cache.cache_clear()


@functools.lru_cache(maxsize=4)
def _cache(keys_url: str) -> KeyCache:
    return KeyCache(functools.partial(_fetch, keys_url))


def _fetch(keys_url: str) -> Mapping[str, Any]:
    with Transport() as http:
        answer = http.get(keys_url)
    if answer.status_code != 200:
        raise Unreachable(f"the key set's address answered {answer.status_code}")
    return answer.json_object()
