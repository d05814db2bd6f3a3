"""Every URL is denied unless its view says who may open it.

    @public                                  anybody, signed in or not
    @require_permission(PermissionLevel.X)   people whose level reaches X

The guard reads that mark before the view runs. A view without one is closed to everybody. The
admin site's own views need ADMIN.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, TypeVar, cast

import structlog
from django.contrib import auth
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from accounts import audit, renewal
from accounts.graph import graph_client
from accounts.levels import PermissionLevel
from accounts.models import User
from accounts.permissions import PermissionService, UserPermission
from accounts.reasons import Reason, Refused
from accounts.refusals import ask_to_sign_in, refuse

logger = structlog.stdlib.get_logger("accounts.guard")

View = TypeVar("View", bound=Callable[..., HttpResponseBase])
_MARK: Final = "accounts_access"
_ENDS_SESSION: Final = {
    Reason.ACCOUNT_DISABLED,
    Reason.ACCOUNT_GONE,
    Reason.ACCOUNT_LOCAL,
    Reason.SESSIONS_REVOKED,
    Reason.SESSION_DAMAGED,
}


class _Public(Enum):
    PUBLIC = "public"


PUBLIC: Final = _Public.PUBLIC
Access = PermissionLevel | _Public


class GuardedRequest(HttpRequest):
    """What a view behind the guard receives."""

    user: User
    permission: UserPermission


def public(view: View) -> View:
    """Open a view to anybody. ``request.permission`` is None there."""
    setattr(view, _MARK, PUBLIC)
    return view


def require_permission(level: PermissionLevel) -> Callable[[View], View]:
    """Open a view to people whose level reaches ``level``."""

    def mark(view: View) -> View:
        setattr(view, _MARK, level)
        return view

    return mark


def access_of(view: Callable[..., Any], app_name: str = "") -> Access | None:
    """Return who may open ``view``; None for a view that does not say."""
    marked: Access | None = getattr(view, _MARK, None)
    if marked is None and app_name == "admin":
        return PermissionLevel.ADMIN
    return marked


def get_current_permission(request: HttpRequest) -> PermissionLevel | None:
    """Return the level of the person behind ``request``; None on a public page."""
    permission: UserPermission | None = getattr(request, "permission", None)
    return permission.permission_level if permission else None


def has_permission(request: HttpRequest, required: PermissionLevel) -> bool:
    """Return whether the person behind ``request`` reaches ``required``."""
    level = get_current_permission(request)
    return level is not None and level >= required


class GuardMiddleware:
    """Sets ``request.permission`` and lets nobody through who may not pass."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer; what a signed-in person saw must not come back out of a cache."""
        guarded = cast(Any, request)
        guarded.permission = None
        response = self._get_response(request)
        if guarded.permission is not None:
            response.headers.setdefault("Cache-Control", "no-store, private")
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], _args: Any, _kwargs: Any
    ) -> HttpResponse | None:
        """Return None to let the view run, else the answer in its place."""
        match = request.resolver_match
        access = access_of(view, match.app_name if match else "")
        if access is PUBLIC:
            return None
        if not request.user.is_authenticated:
            return ask_to_sign_in(request)
        if (way := renewal.answer(request)) is not None:
            return way
        guarded = cast(GuardedRequest, request)
        try:
            guarded.permission = _permission(guarded)
        except Refused as refusal:
            return _turn_away(guarded, refusal.reason)
        return _check(guarded, access)


def _permission(request: GuardedRequest) -> UserPermission:
    service = PermissionService(graph=graph_client(), session=request.session)
    permission = service.current_permission(request.user)
    request.user.level = permission.permission_level
    return permission


def _turn_away(request: GuardedRequest, reason: Reason) -> HttpResponse:
    user = request.user
    oid = str(user.oid or "")
    if reason not in _ENDS_SESSION:
        audit.log_access_denied(oid, request.path, None, reason=reason)
        return refuse(request, reason)
    audit.log_session_ended(user.email, oid, reason)
    auth.logout(request)
    if reason in {Reason.SESSIONS_REVOKED, Reason.SESSION_DAMAGED}:
        return ask_to_sign_in(request, reason)
    return refuse(request, reason)


def _check(request: GuardedRequest, access: PermissionLevel | None) -> HttpResponse | None:
    if access is not None and request.permission.allows(access):
        return None
    reason = Reason.LEVEL if access is not None else Reason.UNCLASSIFIED
    if access is None:
        logger.error("view_without_access", path=request.path)
    audit.log_access_denied(str(request.user.oid or ""), request.path, access, reason=reason)
    return refuse(request, reason)
