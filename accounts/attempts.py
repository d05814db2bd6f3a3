"""One attempt to sign in: begun here, answered by Entra, finished once and within ten minutes.

State, nonce and verifier live in the session of the browser that began, so a callback that another
browser, or another site, brings along finds nothing. Several tabs may try at the same time.
"""

import hashlib
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.views.decorators.debug import sensitive_variables
from mozilla_django_oidc.utils import (
    add_state_and_verifier_and_nonce_to_session,
    generate_code_challenge,
)

from accounts.config import callback_url
from accounts.models import UsedState
from accounts.reasons import Reason, Refused
from accounts.refusals import safe_path

MAX_AGE: Final = 600.0  # seconds
_STATES_KEY: Final = "oidc_states"  # the library's
MAX_STATE: Final = 200  # characters


@dataclass(frozen=True)
class Attempt:
    """What an attempt must be finished with, and where it leads."""

    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    next_path: str
    silent: bool = False


@sensitive_variables()
def begin(
    request: HttpRequest, *, next_path: str, prompt: str = "", login_hint: str = ""
) -> dict[str, str]:
    """Note a new attempt in the session and return the authorisation request's parameters.

    ``prompt`` is "" (Entra asks what it must), ``select_account``, or ``none`` (it may not ask).
    """
    state, nonce, verifier = get_random_string(43), get_random_string(43), get_random_string(64)
    parameters = {
        "response_type": "code",
        "response_mode": "query",
        "scope": "openid profile email",
        "client_id": settings.ENTRA_CLIENT_ID,
        "redirect_uri": callback_url(),
        "state": state,
        "nonce": nonce,
        "code_challenge": generate_code_challenge(verifier, "S256"),
        "code_challenge_method": "S256",
    }
    parameters |= {"prompt": prompt} if prompt else {}
    parameters |= {"login_hint": login_hint} if login_hint else {}
    if request.session.session_key:
        # Read afresh: another tab may have begun an attempt since this request began.
        request.session = type(request.session)(request.session.session_key)
    if not request.user.is_authenticated:
        # Of somebody who never comes back, nothing stays.
        request.session.set_expiry(int(MAX_AGE))
    add_state_and_verifier_and_nonce_to_session(request, state, parameters, verifier)
    request.session[_STATES_KEY][state] |= {
        "next": safe_path(next_path),
        "silent": prompt == "none",
    }
    _save(request, Reason.STATE_UNKNOWN)
    return parameters


@sensitive_variables()
def finish(request: HttpRequest) -> Attempt:
    """Consume the attempt that the callback's state names. Raises ``Refused``.

    Nothing but that attempt is touched: an unsolicited callback signs nobody out.
    """
    state = request.GET.get("state", "")
    entry = _take(request, state)
    if not _is_first(state):
        raise Refused(Reason.STATE_USED)
    age = time.time() - entry["added_on"]
    if not -60.0 <= age <= MAX_AGE:
        raise Refused(Reason.STATE_EXPIRED)
    return Attempt(
        nonce=entry["nonce"],
        code_verifier=entry["code_verifier"],
        next_path=safe_path(entry.get("next")),
        silent=entry.get("silent") is True,
    )


def _take(request: HttpRequest, state: str) -> dict[str, Any]:
    states = request.session.get(_STATES_KEY)
    if not isinstance(states, dict) or not 0 < len(state) <= MAX_STATE or state not in states:
        raise Refused(Reason.STATE_UNKNOWN)
    entry: dict[str, Any] = states.pop(state)
    # Saved and read afresh, as what follows is slow: another tab may begin an attempt meanwhile.
    request.session.modified = True
    _save(request, Reason.STATE_USED)
    request.session = type(request.session)(request.session.session_key)
    return entry


def _save(request: HttpRequest, reason: Reason) -> None:
    try:
        request.session.save()
    except UpdateError:
        # Another request of this browser has ended or replaced the session meanwhile. Its answer
        # sets the cookie; an empty session here would delete it.
        request.session = type(request.session)(request.session.session_key)
        raise Refused(reason) from None


def _is_first(state: str) -> bool:
    now = timezone.now()
    UsedState.objects.filter(used_at__lt=now - timedelta(seconds=2 * MAX_AGE)).delete()
    try:
        with transaction.atomic():
            UsedState.objects.create(digest=hashlib.sha256(state.encode()).hexdigest(), used_at=now)
    except IntegrityError:
        return False
    return True
