"""Signing in and out. What may go wrong ends on a page with a reason, never in an error trace."""

from collections.abc import Callable
from functools import wraps
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_POST, require_safe

from accounts import attempts, audit, renewal, sessions
from accounts.discovery import endpoints
from accounts.guard import public, require_permission
from accounts.levels import PermissionLevel
from accounts.oidc import EntraBackend
from accounts.rate_limits import limited
from accounts.reasons import Reason, Refused
from accounts.refusals import refuse, safe_path
from accounts.transport import budget

logger = structlog.stdlib.get_logger("accounts.views")

SimpleView = Callable[[HttpRequest], HttpResponse]

_ERRORS = {
    "access_denied": Reason.ENTRA_DECLINED,
    "consent_required": Reason.ENTRA_CONSENT,
    "interaction_required": Reason.ENTRA_INTERACTION,
    "login_required": Reason.ENTRA_INTERACTION,
    "server_error": Reason.ENTRA_BUSY,
    "temporarily_unavailable": Reason.ENTRA_BUSY,
}
# What Entra answers when it may not ask a question and would have to.
_NOT_SILENTLY = {
    "login_required",
    "interaction_required",
    "consent_required",
    "account_selection_required",
    "access_denied",
}


def _refusals_are_pages(view: SimpleView) -> SimpleView:
    """Turn refusals, and whatever nobody thought of, into recorded refusal pages."""

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        try:
            with budget(settings.ENTRA_TIMEOUT):
                return view(request)
        except Refused as refusal:
            reason = refusal.reason
        except DatabaseError as error:
            # No record can be written either.
            logger.error("sign_in_failed", error=type(error).__name__)  # noqa: TRY400
            return refuse(request, Reason.INTERNAL)
        except Exception as error:  # noqa: BLE001 - an error report would show the address, and in it the code
            logger.error("sign_in_failed", error=type(error).__name__)  # noqa: TRY400 - the same
            reason = Reason.INTERNAL
        audit.log_auth_failure(reason)
        return refuse(request, reason)

    return guarded


@public
@never_cache
@require_safe
def login(request: HttpRequest) -> HttpResponse:
    """The page with the button "Sign in with Microsoft"."""
    next_path = safe_path(request.GET.get("next"))
    if request.user.is_authenticated:
        return redirect(next_path)
    # On the address that the answer will come back to: elsewhere the session's cookie is another.
    start = f"{settings.SITE_URL}{reverse('accounts:authenticate')}"
    context = {
        "start": f"{start}?{urlencode({'next': next_path})}",
        "sandbox": settings.SANDBOX,
        "break_glass": settings.BREAK_GLASS_SIGN_IN,
    }
    return render(request, "accounts/login.html", context)


@public
@never_cache
@require_GET
@limited("authenticate")
@_refusals_are_pages
def authenticate(request: HttpRequest) -> HttpResponse:
    """Send the person to Entra ID."""
    next_path = request.GET.get("next", "")
    prompt = "select_account" if "choose" in request.GET else ""
    if "silent" in request.GET:
        if not renewal.is_due(request):
            # Renewed by another tab; or a foreign link, which must not end anybody's session.
            return redirect(safe_path(next_path))
        prompt = "none"
    hint = "" if prompt == "select_account" else sessions.login_hint(request)
    address = endpoints().authorization
    parameters = attempts.begin(request, next_path=next_path, prompt=prompt, login_hint=hint)
    return redirect(f"{address}?{urlencode(parameters)}")


@public
@never_cache
@require_GET
@limited("callback")
@_refusals_are_pages
@sensitive_variables()
def callback(request: HttpRequest) -> HttpResponse:
    """Take Entra's answer, and sign the person in if everything about it is right."""
    attempt = attempts.finish(request)
    error = request.GET.get("error")
    if attempt.silent and error in _NOT_SILENTLY:
        return redirect(sessions.expire(request, attempt.next_path))
    if error:
        raise Refused(_ERRORS.get(error, Reason.ENTRA_ERROR))
    user, claims = EntraBackend().sign_in(
        request, nonce=attempt.nonce, code_verifier=attempt.code_verifier
    )
    if not attempt.silent:
        sessions.begin(request, user, claims)
    elif not sessions.renew(request, user, claims):
        return redirect(sessions.expire(request, attempt.next_path))
    return redirect(attempt.next_path)


@public
@never_cache
@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """Sign out here, and at Entra ID."""
    return redirect(sessions.end(request))


@require_permission(PermissionLevel.VIEWER)
@require_safe
def signed_in_again(request: HttpRequest) -> HttpResponse:
    """Lead back to the tab whose form waits to be sent again."""
    return render(request, "accounts/signed_in_again.html")


@public
@never_cache
@require_safe
def signed_out(request: HttpRequest) -> HttpResponse:
    """Say that one is signed out."""
    return render(request, "accounts/signed_out.html")


@public
def form_stale(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Explain a form without a valid CSRF token (Django's CSRF_FAILURE_VIEW)."""
    return refuse(request, Reason.FORM_STALE)
