"""A session follows its ID token.

Once the token has expired, the next whole page is fetched by way of Entra ID, without a question
(``prompt=none``), which ends the session of whoever may not sign in any more. A form or a part of a
page cannot take that way. It is answered for ``ENTRA_TOKEN_OVERRUN`` longer, and then with 401.
"""

import time
from typing import Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from accounts.models import User
from accounts.reasons import Reason
from accounts.refusals import ask_to_sign_in, is_page, safe_path

TOKEN_ENDS_KEY: Final = "token_ends_at"  # noqa: S105 - the name of a time
# A token at its end, or a clock ahead of Entra's, must not send people round in circles.
SHORTEST: Final = 60.0  # seconds


def follow(session: SessionBase, exp: int) -> None:
    """Let ``session`` follow a token that expires at ``exp`` (seconds since 1970, UTC)."""
    session[TOKEN_ENDS_KEY] = max(float(exp), time.time() + SHORTEST)


def is_due(request: HttpRequest) -> bool:
    """Return whether the person's token has expired. Without a known end it has."""
    return _overrun(request) >= 0


def answer(request: HttpRequest) -> HttpResponse | None:
    """Return None while the session may go on as it is, else the way to renew it."""
    overrun = _overrun(request)
    if overrun < 0:
        return None
    if is_page(request):
        return redirect(silent_url(request.get_full_path()))
    if overrun < settings.ENTRA_TOKEN_OVERRUN.total_seconds():
        return None
    return ask_to_sign_in(request, Reason.SESSION_EXPIRED)


def silent_url(next_path: str) -> str:
    """Return the address that renews the session without a question and leads on."""
    query = urlencode({"silent": "1", "next": safe_path(next_path)})
    return f"{reverse('accounts:authenticate')}?{query}"


def _overrun(request: HttpRequest) -> float:
    """Return for how many seconds the token has been expired; negative while it is valid."""
    user = request.user
    if not isinstance(user, User) or user.oid is None:
        return -1.0  # nobody, or the break-glass superuser, whose session ends within the hour
    ends = request.session.get(TOKEN_ENDS_KEY)
    return time.time() - (ends if isinstance(ends, int | float) else 0.0)
