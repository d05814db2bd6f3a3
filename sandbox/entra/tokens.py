"""Tokens in the shape of Entra's v2.0, and the check that Graph makes of them."""

import hashlib
import hmac
import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import jwt

from sandbox.entra.addresses import Addresses
from sandbox.entra.applications import Application, graph_audiences
from sandbox.entra.directory import HOME_TENANT_OF_GUESTS, TENANT_ID, Person
from sandbox.entra.keys import KeyRing, base64url

Claims = dict[str, Any]


class InvalidToken(Exception):
    """The bearer token is not one that Graph accepts; says which check failed."""


@dataclass(frozen=True)
class SignedIn:
    """A person signed in to the fake itself: ``sid`` names the session, ``at`` is epoch seconds."""

    person: Person
    sid: str
    at: float


def times(lifetime: float, now: float) -> Claims:
    """``iat``, ``nbf`` and ``exp``: whole seconds, except for an end that needs its fraction."""
    issued = math.floor(now)
    whole = float(lifetime).is_integer()
    return {
        "iat": issued,
        "nbf": issued,
        "exp": issued + int(lifetime) if whole else now + lifetime,
    }


def seconds_left(claims: Claims, now: float) -> int:
    """``expires_in`` of an answer: never longer than the token lives."""
    left: float = claims["exp"] - now
    return max(0, math.floor(left))


def pairwise_subject(client_id: str, oid: str) -> str:
    """``sub``: the same at every sign-in, another one for every application."""
    digest = hmac.digest(TENANT_ID.encode(), f"{client_id}:{oid}".encode(), hashlib.sha256)
    return base64url(digest)


def login_hint_of(person: Person) -> str:
    """The opaque ``login_hint`` claim, which sign-in and logout take back as a parameter."""
    return "O." + base64url(f"{person.oid}\x12{TENANT_ID}".encode())


class Minter:
    """Builds claims and signs them with the tenant's current key."""

    def __init__(self, addresses: Addresses, keys: KeyRing) -> None:
        self._addresses = addresses
        self._keys = keys

    def sign(self, claims: Claims) -> str:
        """The claims as an RS256 token."""
        key = self._keys.signing
        return jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.kid})

    def id_claims(
        self,
        application: Application,
        signed_in: SignedIn,
        *,
        nonce: str,
        scopes: frozenset[str],
        lifetime: float,
    ) -> Claims:
        """An id token's claims; ``profile`` gives oid and names, ``email`` the address."""
        person = signed_in.person
        claims = {
            "aud": application.client_id,
            **self._common(lifetime),
            "auth_time": math.floor(signed_in.at),
            "acct": 1 if person.guest else 0,
            "login_hint": login_hint_of(person),
            "nonce": nonce,
            "sid": signed_in.sid,
            "sub": pairwise_subject(application.client_id, person.oid),
        }
        if "profile" in scopes:
            claims |= {
                "name": person.name,
                "oid": person.oid,
                "preferred_username": person.email if person.guest else person.upn,
            }
        if "email" in scopes:
            claims["email"] = person.email
        if person.guest:
            claims["idp"] = f"https://sts.windows.net/{HOME_TENANT_OF_GUESTS}/"
        return claims

    def person_access_claims(
        self,
        application: Application,
        signed_in: SignedIn,
        *,
        scopes: frozenset[str],
        lifetime: float,
    ) -> Claims:
        """The access token that comes with an id token: for Graph, in the person's name."""
        person = signed_in.person
        return {
            "aud": self._addresses.graph,
            **self._common(lifetime),
            "appid": application.client_id,
            "azp": application.client_id,
            "azpacr": "1",
            "idtyp": "user",
            "name": person.name,
            "oid": person.oid,
            "scp": " ".join(sorted(scopes)),
            "sid": signed_in.sid,
            "sub": pairwise_subject(self._addresses.graph, person.oid),
        }

    def app_access_claims(
        self, application: Application, *, audience: str, by_secret: bool, lifetime: float
    ) -> Claims:
        """The access token of client credentials, in the application's own name."""
        claims = {
            "aud": audience,
            **self._common(lifetime),
            "appid": application.client_id,
            "azp": application.client_id,
            "azpacr": "1" if by_secret else "2",
            "idtyp": "app",
            "oid": application.oid,
            "sub": application.oid,
        }
        if audience in graph_audiences(self._addresses) and application.graph_roles:
            claims["roles"] = list(application.graph_roles)
        return claims

    def _common(self, lifetime: float) -> Claims:
        return {
            "iss": self._addresses.issuer,
            **times(lifetime, time.time()),
            "rh": f"1.{base64url(UUID(TENANT_ID).bytes_le + secrets.token_bytes(8))}.",
            "tid": TENANT_ID,
            "uti": base64url(uuid4().bytes),
            "ver": "2.0",
        }


class GraphTokenCheck:
    """What Graph checks of a bearer token: signature, issuer, audience, tenant and times."""

    def __init__(self, addresses: Addresses, keys: KeyRing) -> None:
        self._addresses = addresses
        self._keys = keys

    def verify(self, authorization: str) -> Mapping[str, Any]:
        """The claims of an ``Authorization`` header's token. Raises ``InvalidToken``."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise InvalidToken("Access token is empty.")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = next((key for key in self._keys.published if key.kid == kid), None)
            if key is None:
                raise InvalidToken("Signing key is not known.")
            claims: Claims = jwt.decode(
                token,
                key.public,
                algorithms=["RS256"],
                audience=list(graph_audiences(self._addresses)),
                issuer=self._addresses.issuer,
                options={
                    "require": ["exp", "iat", "nbf", "iss", "aud", "tid", "appid"],
                    "verify_exp": False,  # PyJWT drops the fraction of a second; see below
                },
            )
        except jwt.InvalidAudienceError as error:
            raise InvalidToken("Access token validation failure. Invalid audience.") from error
        except jwt.PyJWTError as error:
            raise InvalidToken(
                f"Access token validation failure. {type(error).__name__}"
            ) from error
        if not isinstance(claims["exp"], int | float) or claims["exp"] <= time.time():
            raise InvalidToken("Lifetime validation failed, the token is expired.")
        if claims["tid"] != TENANT_ID:
            raise InvalidToken("Access token is for another tenant.")
        return claims
