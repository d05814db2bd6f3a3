"""A form that arrives after its session has ended: nothing that was typed is lost.

The answer shows how to sign in again in another tab, and then offers to send the same form. It is
shown only for forms whose CSRF token was right, so nobody else's words are ever offered, and never
for files and for what is named like a password.
"""

import hashlib
import re
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render

from accounts.reasons import Reason

COOKIE: Final = "form-kept"
MAX_AGE: Final = 1800  # seconds
MAX_FIELDS: Final = 500
MAX_CHARACTERS: Final = 200_000
_SALT: Final = "accounts.resending"
_NEVER: Final = re.compile(r"passw|passphrase|secret|token|credential", re.IGNORECASE)
_FORMS: Final = {"application/x-www-form-urlencoded", "multipart/form-data"}
_CSRF_FIELD: Final = "csrfmiddlewaretoken"


def ask_and_keep(request: HttpRequest, reason: Reason) -> HttpResponse:
    """Return the page, with status 401."""
    context = {"fields": kept_fields(request), "reason": reason.value}
    response = render(request, "accounts/form_kept.html", context, status=401)
    response["Cache-Control"] = "no-store"
    response.set_signed_cookie(
        cookie_name(),
        _digest(_secret_of(request)),
        salt=_SALT,
        max_age=MAX_AGE,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def kept_fields(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the form's fields in their order; none where it cannot be sent again as it was."""
    if request.content_type not in _FORMS or request.FILES:
        return []
    fields = [
        (name, str(value))
        for name, values in request.POST.lists()
        if name != _CSRF_FIELD
        for value in values
    ]
    size = sum(len(name) + len(value) for name, value in fields)
    if len(fields) > MAX_FIELDS or size > MAX_CHARACTERS:
        return []
    return [] if any(_NEVER.search(name) for name, _ in fields) else fields


def keeps_form(request: HttpRequest) -> bool:
    """Return whether this browser was shown the page lately, with the CSRF secret it still has.

    Then a sign-in must not change that secret, or the offered form would be refused.
    """
    secret = request.META.get("CSRF_COOKIE")
    kept = request.get_signed_cookie(cookie_name(), default="", salt=_SALT, max_age=MAX_AGE)
    return secret is not None and kept == _digest(secret)


def cookie_name() -> str:
    """Return the cookie's name: under https no other host of the domain can set it."""
    return f"__Host-{COOKIE}" if settings.SESSION_COOKIE_SECURE else COOKIE


def _secret_of(request: HttpRequest) -> str:
    get_token(request)  # makes one where there is none
    return str(request.META["CSRF_COOKIE"])


def _digest(secret: str) -> str:
    return hashlib.sha256(f"{_SALT}{secret}".encode()).hexdigest()
