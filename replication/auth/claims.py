"""What a token says of itself, for people who look for a fault. Nothing is decided by it."""

import base64
import json
from typing import Any


def token_identity(token: str) -> tuple[str | None, str | None]:
    """Return the tenant id and the object id that a token names, unverified; None if it has none.

    The server that the token is for verifies it. This only tells an operator which identity to
    give rights to.
    """
    claims = _payload(token)
    return _text(claims.get("tid")), _text(claims.get("oid"))


def _payload(token: str) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
