"""The record of sign-ins, refusals, sign-outs and changes: a structured log line and a row each.

What is recorded is listed field by field. No code, state, nonce, token, password or text of an
answer has a way in, because no function takes one.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog
from django.utils import timezone

from accounts.levels import PermissionLevel
from accounts.models import AuditEvent
from accounts.reasons import Reason

logger = structlog.stdlib.get_logger("accounts.audit")

Kind = AuditEvent.Kind


def log_auth_event(
    email: str, oid: str, permission: PermissionLevel, *, method: str = "entra"
) -> None:
    """Record that a person signed in, and with which level."""
    _record(
        Kind.SIGNED_IN,
        user_oid=oid,
        user_name=email,
        details={"permission": permission.name, "method": method},
    )


def log_auth_failure(reason: Reason, *, oid: str = "", method: str = "entra") -> None:
    """Record that a sign-in was refused. ``oid`` only from a token that passed every check."""
    _record(Kind.SIGN_IN_REFUSED, reason=reason, user_oid=oid, details={"method": method})


def log_logout(email: str, oid: str = "") -> None:
    """Record that a person signed out."""
    _record(Kind.SIGNED_OUT, user_oid=oid, user_name=email)


def log_session_ended(email: str, oid: str, reason: Reason) -> None:
    """Record that a session was ended without its person asking."""
    _record(Kind.SESSION_ENDED, reason=reason, user_oid=oid, user_name=email)


def log_access_denied(
    user_oid: str,
    resource: str,
    required: PermissionLevel | None,
    *,
    reason: Reason = Reason.LEVEL,
) -> None:
    """Record that a person was kept from ``resource`` (a path, without its query)."""
    _record(
        Kind.ACCESS_DENIED,
        reason=reason,
        user_oid=user_oid,
        resource=resource,
        details={"required": required.name if required else None},
    )


def log_change(
    kind: AuditEvent.Kind, *, actor_oid: str, actor_name: str, resource: str, details: Any
) -> None:
    """Record what somebody changed. Call it inside the transaction of the change."""
    _record(kind, user_oid=actor_oid, user_name=actor_name, resource=resource, details=details)


def _record(
    kind: AuditEvent.Kind,
    *,
    reason: Reason | None = None,
    user_oid: str = "",
    user_name: str = "",
    resource: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    at: datetime = timezone.now()
    context = structlog.contextvars.get_contextvars()
    event = AuditEvent(
        at=at,
        kind=kind,
        reason=reason.value if reason else "",
        user_oid=user_oid,
        # A path may hold NUL, which PostgreSQL does not store.
        user_name=user_name.replace("\x00", "")[:256],
        resource=resource.replace("\x00", "")[:500],
        details=dict(details or {}),
        ip=context.get("ip"),
        request_id=str(context.get("request_id", ""))[:64],
    )
    event.save(force_insert=True)
    refused = kind in (Kind.SIGN_IN_REFUSED, Kind.ACCESS_DENIED)
    (logger.warning if refused else logger.info)(
        kind.value,
        at=at.isoformat(),
        reason=event.reason or None,
        oid=user_oid or None,
        email=user_name or None,
        resource=resource or None,
        **event.details,
    )
