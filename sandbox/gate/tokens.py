"""Verification of Entra's tokens: everything is checked, and each check is spelt out.

TokenRefused             this token is not accepted; the message says why and never holds it
KeysUnavailable          the issuer's keys cannot be read; the verifier refuses tokens meanwhile
"""

import asyncio
import http.client
import json
import logging
import math
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NewType, Protocol
from urllib.parse import urlsplit

import jwt

log = logging.getLogger("sandbox.gate")

ALGORITHM = "RS256"  # the only one: a token must not choose how it is verified
MAX_TOKEN = 64 * 1024  # characters; Entra's largest are below 16 KiB
_MAX_KEYS_DOCUMENT = 1024 * 1024  # bytes
_FETCH_TIMEOUT = 5.0  # seconds
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

PrincipalId = NewType("PrincipalId", str)
"""The ``oid`` of a principal that the server knows, taken from a verified token."""


class TokenRefused(Exception):
    """A token that is not accepted."""


class KeysUnavailable(Exception):
    """The issuer's keys cannot be read."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has signed in, and until when."""

    principal: PrincipalId
    expires_at: float  # seconds since the epoch, fractions honoured


class KeySource(Protocol):
    """Where signing keys come from."""

    def fetch(self) -> Mapping[str, jwt.PyJWK]:
        """Return the published keys by key id; blocks. Raises ``KeysUnavailable``."""


@dataclass(frozen=True)
class JwksEndpoint:
    """An issuer's JSON Web Key Set at a URL: HTTPS, or plain HTTP on loopback."""

    url: str
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if not parts.hostname or parts.scheme not in {"http", "https"}:
            raise ValueError(f"{self.url!r} is not an http or https URL.")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ValueError(
                f"{self.url!r} would fetch signing keys in clear; use https, or a loopback host."
            )

    def fetch(self) -> Mapping[str, jwt.PyJWK]:
        """Return the RSA signing keys by key id, following no redirect and using no proxy."""
        try:
            keys = json.loads(self._read())["keys"]
            # Other kinds of keys may be published beside the ones that sign tokens.
            return {
                key["kid"]: jwt.PyJWK(key, algorithm=ALGORITHM)
                for key in keys
                if key.get("kty") == "RSA" and key.get("use", "sig") == "sig"
            }
        except (OSError, http.client.HTTPException) as error:
            raise KeysUnavailable(f"{self.url}: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
            raise KeysUnavailable(
                f"{self.url}: not a JSON Web Key Set ({type(error).__name__})"
            ) from error

    def _read(self) -> bytes:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = self.tls or ssl.create_default_context()
            connection = http.client.HTTPSConnection(
                host, parts.port, timeout=_FETCH_TIMEOUT, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=_FETCH_TIMEOUT)
        try:
            path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            connection.request("GET", path, headers={"Accept": "application/json"})
            response = connection.getresponse()
            body = response.read(_MAX_KEYS_DOCUMENT + 1)
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise KeysUnavailable(f"{self.url}: HTTP status {response.status}")
        if len(body) > _MAX_KEYS_DOCUMENT:
            raise KeysUnavailable(f"{self.url}: more than {_MAX_KEYS_DOCUMENT} bytes")
        return body


class SigningKeys:
    """The issuer's keys, fetched when first needed and again when a token names an unknown one.

    At most one fetch in ``window`` seconds, so that made-up key ids cannot be used to press on
    the issuer; callers that come meanwhile wait for the one under way.
    """

    def __init__(
        self,
        source: KeySource,
        *,
        window: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._window = window
        self._clock = clock
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at = -math.inf
        self._failure: str | None = None
        self._fetching = asyncio.Lock()

    async def find(self, key_id: str) -> jwt.PyJWK:
        """Return the key with this id.

        Raises:
            TokenRefused: the issuer publishes no such key.
            KeysUnavailable: the keys could not be read in this window.
        """
        if key_id not in self._keys:
            async with self._fetching:
                if key_id not in self._keys and self._clock() - self._fetched_at >= self._window:
                    await self._fetch()
        if key_id in self._keys:
            return self._keys[key_id]
        if self._failure is not None:
            raise KeysUnavailable(self._failure)
        raise TokenRefused("The token is signed with a key that its issuer does not publish.")

    async def _fetch(self) -> None:
        self._fetched_at = self._clock()
        try:
            self._keys = await asyncio.to_thread(self._source.fetch)
            self._failure = None
            log.info("signing keys read", extra={"fields": {"keys": len(self._keys)}})
        except KeysUnavailable as error:
            # Known keys stay in use: an unreachable issuer does not end valid tokens.
            self._failure = str(error)
            log.warning("signing keys not read", extra={"fields": {"reason": self._failure}})


class TokenVerifier:
    """Accepts tokens of one issuer for one audience and for named principals."""

    def __init__(
        self,
        *,
        keys: SigningKeys,
        issuer: str,
        audience: str,
        principals: frozenset[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._principals = principals
        self._clock = clock

    async def verify(self, token: object) -> Identity:
        """Return whom ``token`` names.

        Raises:
            TokenRefused: with a message for the client, in Azure's words where they are known.
        """
        if not isinstance(token, str):
            raise TokenRefused("JWT token missing from OIDC payload")
        if len(token) > MAX_TOKEN or token.count(".") != 2:
            raise TokenRefused("Invalid JWT token format.")
        try:
            key = await self._keys.find(_key_id(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                # The times are checked below: PyJWT cuts fractions of a second off.
                options={
                    "require": ["aud", "exp", "iss"],
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(_refusal(error)) from None
        except (ValueError, RecursionError):
            raise TokenRefused("Invalid JWT token payload.") from None
        except KeysUnavailable:
            raise TokenRefused("The issuer's signing keys cannot be read at the moment.") from None
        return self._identity(claims)

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        now = self._clock()
        expires_at = _time(claims, "exp")
        if expires_at is None:
            raise TokenRefused("Token does not contain expiry time.")
        if expires_at <= now:
            raise TokenRefused("The token provided is expired.")
        if "nbf" in claims:
            not_before = _time(claims, "nbf")
            if not_before is None or not_before > now:
                raise TokenRefused("The token provided is not valid yet.")
        principal = claims.get("oid")
        if not isinstance(principal, str):
            raise TokenRefused("Token does not contain OID.")
        if principal not in self._principals:
            raise TokenRefused("External identity is not present in the system.")
        return Identity(PrincipalId(principal), expires_at)


def _key_id(token: str) -> str:
    header = jwt.get_unverified_header(token)
    if header.get("alg") != ALGORITHM:
        raise TokenRefused(f"The token must be signed with {ALGORITHM}.")
    key_id = header.get("kid")
    if not isinstance(key_id, str):
        raise TokenRefused("The token does not name its signing key.")
    return key_id


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate, or None for what is not one; JSON in Python knows NaN and infinity."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None


def _refusal(error: jwt.PyJWTError) -> str:
    if isinstance(error, jwt.InvalidAudienceError):
        return "The audience claim provided in the token is not valid."
    if isinstance(error, jwt.InvalidIssuerError):
        return "The issuer of the token is not the one that this server trusts."
    if isinstance(error, jwt.MissingRequiredClaimError):
        known = {
            "exp": "Token does not contain expiry time.",
            "aud": "Token does not contain audience claim.",
        }
        return known.get(error.claim, f"Token does not contain {error.claim}.")
    if isinstance(error, jwt.InvalidSignatureError):
        return "The token provided is not valid."
    return "Invalid JWT token format."
