"""Tokens that a careful reader must refuse, made on demand for tests."""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from sandbox.entra.applications import Applications
from sandbox.entra.directory import WEB_CLIENT_ID
from sandbox.entra.keys import KeyRing, SigningKey, base64url
from sandbox.entra.tokens import Claims

FOREIGN_TENANT_ID = "0badf00d-0bad-4bad-8bad-0badf00d0bad"
HOUR = 3600


class Flaw(StrEnum):
    """What is wrong with a token. Everything else about it is as it should be."""

    NONE = "none"
    OTHER_KEY = "other_key"  # signed by a stranger's key under our key's id
    UNKNOWN_KEY_ID = "unknown_key_id"  # signed by a stranger's key under its own id
    NO_KEY_ID = "no_key_id"
    EMBEDDED_KEY = "embedded_key"  # a stranger's key, handed over in the header
    ALG_NONE = "alg_none"
    HS256_PUBLIC_KEY = "hs256_public_key"  # the public key's PEM as a shared secret
    HS256_CLIENT_SECRET = "hs256_client_secret"  # noqa: S105 - the name of a flaw
    PS256 = "ps256"  # our key, an algorithm nobody asked for
    UNKNOWN_CRITICAL_HEADER = "unknown_critical_header"
    FOREIGN_ISSUER = "foreign_issuer"
    FOREIGN_TENANT = "foreign_tenant"  # issuer and tid of another tenant, signed by the shared key
    OTHER_AUDIENCE = "other_audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    TAMPERED = "tampered"  # claims changed after signing
    GARBAGE = "garbage"  # not a token at all
    ABSENT = "absent"  # no token where one belongs; for a code exchange only


@dataclass(frozen=True)
class Recipe:
    """A flaw, and what to change besides: a value of None removes the claim or header."""

    flaw: Flaw = Flaw.NONE
    claims: Claims = field(default_factory=dict)
    headers: dict[str, object] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: dict[str, object]) -> "Recipe":
        """The recipe of a control call's body. Raises ``ValueError``, naming what is wrong."""
        flaws = ", ".join(Flaw)
        try:
            flaw = Flaw(str(content.get("flaw", Flaw.NONE)))
        except ValueError as error:
            raise ValueError(f"flaw is {content['flaw']!r}; expected one of {flaws}.") from error
        claims, headers = content.get("claims") or {}, content.get("headers") or {}
        if not isinstance(claims, dict) or not isinstance(headers, dict):
            raise ValueError("claims and headers must be JSON objects.")  # noqa: TRY004 - a 400
        return cls(flaw, claims, headers)


Signer = Callable[[bytes], bytes]


class Forger:
    """Makes tokens by recipe, with the issuer's real keys where the recipe wants them."""

    def __init__(self, keys: KeyRing, applications: Applications) -> None:
        self._keys = keys
        self._applications = applications
        self._stranger: SigningKey | None = None

    def forge(self, claims: Claims, recipe: Recipe) -> str | None:
        """``claims`` as the recipe's token; None for ``ABSENT``."""
        if recipe.flaw is Flaw.ABSENT:
            return None
        if recipe.flaw is Flaw.GARBAGE:
            return "this-is-not-a-token"
        flawed = _changed(_flawed_claims(claims, recipe.flaw), recipe.claims)
        headers, sign = self._header_and_signer(recipe.flaw)
        signed = _encode(_changed(headers, recipe.headers), flawed, sign)
        if recipe.flaw is Flaw.TAMPERED:
            header, _, signature = signed.split(".")
            payload = _part(flawed | {"exp": flawed.get("exp", 0) + HOUR, "name": "Somebody Else"})
            return f"{header}.{payload}.{signature}"
        return signed

    def _header_and_signer(self, flaw: Flaw) -> tuple[dict[str, object], Signer]:
        ours = self._keys.signing
        header: dict[str, object] = {"typ": "JWT", "alg": "RS256", "kid": ours.kid}
        match flaw:
            case Flaw.OTHER_KEY:
                return header, _rs256(self._strangers_key())
            case Flaw.UNKNOWN_KEY_ID:
                stranger = self._strangers_key()
                return header | {"kid": stranger.kid}, _rs256(stranger)
            case Flaw.NO_KEY_ID:
                return {name: header[name] for name in ("typ", "alg")}, _rs256(ours)
            case Flaw.EMBEDDED_KEY:
                stranger = self._strangers_key()
                jwk = stranger.jwk("https://stranger.invalid")
                return header | {"kid": stranger.kid, "jwk": jwk}, _rs256(stranger)
            case Flaw.ALG_NONE:
                return header | {"alg": "none"}, lambda _: b""
            case Flaw.HS256_PUBLIC_KEY:
                return header | {"alg": "HS256"}, _hs256(ours.public_pem())
            case Flaw.HS256_CLIENT_SECRET:
                secret = self._applications.get(WEB_CLIENT_ID).secret or ""
                return header | {"alg": "HS256"}, _hs256(secret.encode())
            case Flaw.PS256:
                return header | {"alg": "PS256"}, _ps256(ours)
            case Flaw.UNKNOWN_CRITICAL_HEADER:
                unknown = "https://stranger.invalid/must-understand"
                return header | {"crit": [unknown], unknown: True}, _rs256(ours)
            case _:
                return header, _rs256(ours)

    def _strangers_key(self) -> SigningKey:
        if self._stranger is None:
            self._stranger = SigningKey.generate()
        return self._stranger


def _flawed_claims(claims: Claims, flaw: Flaw) -> Claims:
    match flaw:
        case Flaw.FOREIGN_ISSUER:
            return claims | {"iss": "https://stranger.invalid/v2.0"}
        case Flaw.FOREIGN_TENANT:
            issuer = str(claims["iss"]).replace(str(claims.get("tid")), FOREIGN_TENANT_ID)
            return claims | {"iss": issuer, "tid": FOREIGN_TENANT_ID}
        case Flaw.OTHER_AUDIENCE:
            return claims | {"aud": "2f6d9a51-0000-4000-8000-0a0b0c0d0e0f"}
        case Flaw.EXPIRED:
            # Past every leeway that a reader may reasonably grant.
            start = claims["iat"] - 3 * HOUR
            return claims | {"iat": start, "nbf": start, "exp": start + HOUR}
        case Flaw.NOT_YET_VALID:
            start = claims["iat"] + HOUR
            return claims | {"nbf": start, "exp": start + HOUR}
        case _:
            return claims


def _changed(content: Claims, changes: Claims) -> Claims:
    merged = content | changes
    return {name: value for name, value in merged.items() if value is not None}


# Written by hand, because PyJWT rightly refuses to make most of these.
def _encode(header: dict[str, object], claims: Claims, sign: Signer) -> str:
    signed_part = f"{_part(header)}.{_part(claims)}"
    return f"{signed_part}.{base64url(sign(signed_part.encode()))}"


def _part(content: dict[str, object]) -> str:
    return base64url(json.dumps(content, separators=(",", ":")).encode())


def _rs256(key: SigningKey) -> Signer:
    return lambda content: key.private.sign(content, padding.PKCS1v15(), hashes.SHA256())


def _ps256(key: SigningKey) -> Signer:
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    return lambda content: key.private.sign(content, scheme, hashes.SHA256())


def _hs256(secret: bytes) -> Signer:
    return lambda content: hmac.digest(secret, content, hashlib.sha256)
