"""The life of a session: begun at a sign-in, absolute in length, ended on request."""

from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts import audit, renewal, session_index
from accounts.claims import SESSION_CLAIMS_KEY, VerifiedClaims
from accounts.discovery import endpoints
from accounts.graph import graph_client
from accounts.models import User
from accounts.oidc import BACKEND
from accounts.permissions import SIGNED_IN_KEY, PermissionService
from accounts.reasons import Reason, Refused
from accounts.refusals import sign_in_url
from accounts.resending import keeps_form

MAX_LENGTH: Final = timedelta(hours=8)
BREAK_GLASS_LENGTH: Final = timedelta(hours=1)
_LOGIN_HINT_KEY: Final = "login_hint"
_SID_KEY: Final = "entra_sid"


def begin(request: HttpRequest, user: User, claims: VerifiedClaims) -> None:
    """Sign ``user`` in under a new session key, and derive and record the level.

    Raises ``Refused``, and then nobody is signed in.
    """
    before = request.session.session_key
    # Somebody who signs in again may have a form open in another tab, whose CSRF token shall count.
    secret = request.META.get("CSRF_COOKIE")
    keeps_secret = request.user.pk == user.pk or keeps_form(request)
    auth.login(request, user, backend=BACKEND)
    if secret and keeps_secret:
        request.META |= {"CSRF_COOKIE": secret, "CSRF_COOKIE_NEEDS_UPDATE": False}
    if request.session.session_key == before:
        # Django keeps the key when the same person signs in again.
        request.session.cycle_key()
    limit(request, MAX_LENGTH)
    _follow(request, user, claims)
    if before:
        session_index.forget([before])
    _derive_level(request, user, method="entra")


def renew(request: HttpRequest, user: User, claims: VerifiedClaims) -> bool:
    """Carry the session of ``user`` on; its absolute end stays. False when it is another's.

    Raises ``Refused``, and then nobody is signed in.
    """
    if request.user.pk != user.pk:
        return False
    _follow(request, user, claims)
    _derive_level(request, user, method="silent")
    return True


def login_hint(request: HttpRequest) -> str:
    """Return Entra's name for the account that the session belongs to, "" where it is unknown."""
    hint = request.session.get(_LOGIN_HINT_KEY) if request.user.is_authenticated else None
    return hint if isinstance(hint, str) else ""


def expire(request: HttpRequest, next_path: str) -> str:
    """End a session that Entra did not renew, and return where to sign in again."""
    user = request.user
    if isinstance(user, User):
        audit.log_session_ended(user.email, str(user.oid or ""), Reason.SESSION_EXPIRED)
    _leave(request)
    return sign_in_url(next_path)


def _follow(request: HttpRequest, user: User, claims: VerifiedClaims) -> None:
    request.session[SESSION_CLAIMS_KEY] = claims.for_display().to_claims()
    request.session[_LOGIN_HINT_KEY] = claims.login_hint
    request.session[_SID_KEY] = claims.sid
    renewal.follow(request.session, claims.exp)
    session_index.note(request.session, user_id=user.pk, sid=claims.sid)


def _derive_level(request: HttpRequest, user: User, *, method: str) -> None:
    service = PermissionService(graph=graph_client(), session=request.session)
    try:
        permission = service.current_permission(user)
        audit.log_auth_event(
            user.email, permission.user_oid, permission.permission_level, method=method
        )
    except Exception:
        # Signed in without a level or without a record is not signed in.
        _leave(request)
        raise


def _leave(request: HttpRequest) -> None:
    session_index.forget([request.session.session_key or ""])
    auth.logout(request)


def limit(request: HttpRequest, length: timedelta) -> None:
    """Let the session end ``length`` from now at the latest, however busy it is."""
    now = timezone.now()
    policy = timedelta(seconds=settings.SESSION_COOKIE_AGE)
    request.session[SIGNED_IN_KEY] = now.timestamp()
    request.session.set_expiry(now + min(length, policy))


def end(request: HttpRequest) -> str:
    """Sign the person out and return where to go: to Entra's sign-out, if they came by it."""
    user = request.user
    signed_out = reverse("accounts:signed_out")
    if not isinstance(user, User):
        auth.logout(request)
        return signed_out
    hint = login_hint(request)
    audit.log_logout(user.email or user.get_username(), str(user.oid or ""))
    _leave(request)
    if user.oid is None:
        return signed_out
    try:
        address = endpoints().end_session
    except Refused:
        # Signed out here in any case; that Entra's own session goes on is said on the page.
        return signed_out
    query = {"post_logout_redirect_uri": f"{settings.SITE_URL}{signed_out}"}
    if hint:
        query["logout_hint"] = hint
    return f"{address}?{urlencode(query)}"
