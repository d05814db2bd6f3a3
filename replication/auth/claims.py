"""What a token says of itself. The server that it is for verifies it; nothing here does."""

import base64
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TokenClaims:
    """The claims that matter to MongoDB, unverified. ``expires_at`` is in seconds of the epoch."""

    audience: str | None = None
    tenant_id: str | None = None
    object_id: str | None = None
    client_id: str | None = None
    expires_at: float | None = None
    roles: tuple[str, ...] = ()


def token_claims(token: str) -> TokenClaims | None:
    """Return what a JWT says, or None for what is no JWT."""
    claims = _payload(token)
    if claims is None:
        return None
    expiry, roles = claims.get("exp"), claims.get("roles")
    return TokenClaims(
        audience=_text(claims.get("aud")),
        tenant_id=_text(claims.get("tid")),
        object_id=_text(claims.get("oid")),
        client_id=_text(claims.get("appid")) or _text(claims.get("azp")),
        expires_at=float(expiry) if isinstance(expiry, int | float) else None,
        roles=tuple(str(role) for role in roles) if isinstance(roles, list) else (),
    )


def token_identity(token: str) -> tuple[str | None, str | None]:
    """Return the tenant id and the object id that a token names; None if it has none."""
    claims = token_claims(token) or TokenClaims()
    return claims.tenant_id, claims.object_id


def _payload(token: str) -> dict[str, Any] | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
