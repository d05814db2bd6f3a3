"""The holes, one a guard: what each hostile way needs to succeed."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.admin.forms import AdminAuthenticationForm
from django.http import HttpRequest
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from accounts import attempts, graph, sessions
from accounts.breakglass import BreakGlassBackend
from accounts.graph import GraphUserGone, Membership
from accounts.models import User
from accounts.oidc import EntraBackend
from accounts.reasons import Refused
from tests.accounts.attacks.conftest import Stage
from tests.accounts.attacks.weakened import (
    believe_any_code,
    believe_tokens,
    forget_whose_attempt,
)

Patch = pytest.MonkeyPatch


def any_state_will_do(patch: Patch, stage: Stage) -> None:
    forget_whose_attempt(patch)
    finish = attempts.finish

    def finish_with_any(request: HttpRequest) -> attempts.Attempt:
        attempt = finish(request)
        _change_query(request, state="any")  # the library, too, wants one
        return attempt

    patch.setattr(attempts, "finish", finish_with_any)


def tokens_from_the_address_are_believed(patch: Patch, stage: Stage) -> None:
    def sign_in(self: EntraBackend, request: HttpRequest, **_bound: str) -> tuple[User, Any]:
        OIDCAuthenticationBackend.__init__(self)
        self.request = request
        token = request.GET.get("id_token") or request.GET["code"]
        claims = EntraBackend.verify_token(self, token)
        return self.get_or_create_user(None, token, claims), claims

    believe_tokens(patch)
    patch.setattr(EntraBackend, "sign_in", sign_in)


def errors_are_overlooked(patch: Patch, stage: Stage) -> None:
    finish = attempts.finish

    def without_error(request: HttpRequest) -> attempts.Attempt:
        attempt = finish(request)
        _change_query(request, error="")
        return attempt

    patch.setattr(attempts, "finish", without_error)


def any_callback_signs_out(patch: Patch, stage: Stage) -> None:
    finish = attempts.finish

    def finish_or_sign_out(request: HttpRequest) -> attempts.Attempt:
        try:
            return finish(request)
        except Refused:
            request.session.flush()  # what the unhardened library's failure does
            raise

    patch.setattr(attempts, "finish", finish_or_sign_out)


def anybody_renews(patch: Patch, stage: Stage) -> None:
    def renew(request: HttpRequest, user: User, claims: Any) -> bool:
        sessions.begin(request, user, claims)
        return True

    patch.setattr(sessions, "renew", renew)


def deactivation_is_overlooked(patch: Patch, stage: Stage) -> None:
    find = EntraBackend.filter_users_by_claims
    patch.setattr(
        EntraBackend, "filter_users_by_claims", lambda s, c: find(s, c).filter(is_active=True)
    )


def the_directory_is_overlooked(patch: Patch, stage: Stage) -> None:
    ask = graph.GraphAPIClient.membership

    def membership(self: graph.GraphAPIClient, user_oid: str) -> Membership:
        with suppress(GraphUserGone):
            return replace(ask(self, user_oid), enabled=True)
        return Membership(())

    patch.setattr(graph.GraphAPIClient, "membership", membership)


def setting(name: str, value: object) -> Callable[[Patch, Stage], None]:
    return lambda patch, stage: setattr(stage.settings, name, value)


def revocation_is_overlooked(patch: Patch, stage: Stage) -> None:
    patch.setattr(graph, "_sessions_valid_from", lambda account: None)


def every_password_is_right(patch: Patch, stage: Stage) -> None:
    patch.setattr(User, "check_password", lambda self, password: True)


def every_local_account_may(patch: Patch, stage: Stage) -> None:
    patch.setattr(User, "is_break_glass", property(lambda self: self.oid is None))
    patch.setattr(BreakGlassBackend, "user_can_authenticate", lambda self, user: True)
    patch.setattr(AdminAuthenticationForm, "confirm_login_allowed", lambda self, user: None)


def the_library_sees_every_form(patch: Patch, stage: Stage) -> None:
    """As mozilla-django-oidc is: a code on any form's address counts, bound to nothing."""

    def authenticate(self: EntraBackend, request: HttpRequest, **_credentials: Any) -> Any:
        OIDCAuthenticationBackend.__init__(self)
        return OIDCAuthenticationBackend.authenticate(self, request)

    believe_any_code(patch)
    patch.setattr(EntraBackend, "authenticate", authenticate)
    patch.setattr(AdminAuthenticationForm, "confirm_login_allowed", lambda self, user: None)


def everybodys_attempts(patch: Patch, stage: Stage) -> None:
    forget_whose_attempt(patch)


def codes_last(patch: Patch, stage: Stage) -> None:
    set_lifetimes = type(stage.entra.control).set_lifetimes
    patch.setattr(
        type(stage.entra.control), "set_lifetimes", lambda s, **k: set_lifetimes(s, code=60)
    )


def codes_work_twice(patch: Patch, stage: Stage) -> None:
    stage.entra.control.reuse_codes()
    believe_any_code(patch)


def _change_query(request: HttpRequest, **values: str) -> None:
    query = request.GET.copy()
    for name, value in values.items():
        query[name] = value
    vars(request)["GET"] = query
