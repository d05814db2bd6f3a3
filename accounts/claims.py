"""What a token says of a person: claims that passed every check, and the copy kept for display."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest

SESSION_CLAIMS_KEY: Final = "user_claims"

# Control characters would forge lines of a log, bidirectional ones turn a name on a page around.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class UserClaims:
    """A person's claims, for display and for the audit log; ``oid`` is the identity."""

    oid: str
    email: str
    name: str
    preferred_username: str
    tenant_id: str
    exp: int | None = None  # seconds since 1970, UTC

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> "UserClaims":
        """Read them out of a token's payload. Raises ``KeyError`` for a missing ``oid``/``tid``."""
        exp = claims.get("exp")
        return cls(
            oid=claims["oid"],
            email=claims.get("email") or "",
            name=claims.get("name") or "",
            preferred_username=claims.get("preferred_username") or "",
            tenant_id=claims["tid"],
            exp=exp if isinstance(exp, int) else None,
        )

    from_st_user = from_claims  # the requirement's name for the same

    def is_expired(self, now: float | None = None) -> bool:
        """Return whether the token has expired at ``now``. Without ``exp`` it counts as expired."""
        return self.exp is None or (time.time() if now is None else now) >= self.exp

    def to_claims(self) -> dict[str, Any]:
        """Return what ``from_claims`` reads, made of JSON's types."""
        return {
            "oid": self.oid,
            "email": self.email,
            "name": self.name,
            "preferred_username": self.preferred_username,
            "tid": self.tenant_id,
            "exp": self.exp,
        }


@dataclass(frozen=True)
class VerifiedClaims:
    """Claims of an ID token that passed every check. Made by ``accounts.id_token.verify`` only.

    Names and addresses are cleaned for display; nothing may be decided by them.
    """

    tid: UUID
    oid: UUID
    exp: int
    name: str
    email: str
    preferred_username: str
    login_hint: str = field(default="", repr=False)
    sid: str = field(default="", repr=False)
    is_guest: bool = False  # of another organisation, invited into this tenant
    group_overage: bool = False  # too many groups for the token, which then names none

    def facts(self) -> dict[str, Any]:
        """Return what diagnosis may show of them, made of JSON's types. No secret is in it."""
        return {
            **self.for_display().to_claims(),
            "guest": self.is_guest,
            "group_overage": self.group_overage,
        }

    def for_display(self) -> UserClaims:
        """Return the copy that a session keeps."""
        return UserClaims(
            oid=str(self.oid),
            email=self.email,
            name=self.name,
            preferred_username=self.preferred_username,
            tenant_id=str(self.tid),
            exp=self.exp,
        )


def display_text(value: object, *, limit: int = 256) -> str:
    """Return a claim without control and bidirectional characters; "" for what is no text."""
    return _UNPRINTABLE.sub("", value).strip()[:limit] if isinstance(value, str) else ""


def has_group_overage(payload: Mapping[str, Any]) -> bool:
    """Return whether Entra left the groups out of a token because there are too many.

    It says so by ``hasgroups`` or by pointing to where they are. Only diagnosis asks: groups come
    from Graph.
    """
    elsewhere = payload.get("_claim_names")
    points = isinstance(elsewhere, Mapping) and "groups" in elsewhere
    return points or payload.get("hasgroups") in (True, "true")


def check_login_status(request: HttpRequest) -> bool:
    """Return whether somebody is signed in. Look before reading claims."""
    return bool(request.user.is_authenticated)


def extract_user_claims(request: HttpRequest) -> UserClaims | None:
    """Return the claims that the session keeps; None when nobody is signed in with Entra ID."""
    if not check_login_status(request):
        return None
    claims = request.session.get(SESSION_CLAIMS_KEY)
    return UserClaims.from_claims(claims) if isinstance(claims, dict) else None
