"""What ``manage.py check`` refuses about sign-in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning

from accounts.config import ConfigurationError, require_tenant_id

GUARD = "accounts.guard.GuardMiddleware"
BACKENDS = ("accounts.oidc.EntraBackend", "accounts.breakglass.BreakGlassBackend")
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


@register(Tags.security)
def check_sign_in(
    app_configs: Sequence[AppConfig] | None = None, **_options: Any
) -> list[CheckMessage]:
    """Return one error for each setting that sign-in would not be safe with."""
    return [*_session_errors(), *_entra_errors(), *_guard_errors(), *_backend_errors()]


def _session_errors() -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    if settings.SESSION_ENGINE.endswith("signed_cookies"):
        errors.append(
            Error(
                "SESSION_ENGINE keeps sessions in cookies: an old cookie brings back a consumed"
                " sign-in attempt and an ended session.",
                hint="Use django.contrib.sessions.backends.db, cached_db or cache.",
                id="accounts.E001",
            )
        )
    if settings.SESSION_COOKIE_SAMESITE != "Lax":
        errors.append(
            Error(
                f"SESSION_COOKIE_SAMESITE is {settings.SESSION_COOKIE_SAMESITE!r}; expected 'Lax'.",
                hint="Strict loses the session on the way back from Entra, None invites forgery.",
                id="accounts.E002",
            )
        )
    return errors


def _entra_errors() -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    if settings.ENTRA_TENANT_ID:
        try:
            require_tenant_id(settings.ENTRA_TENANT_ID)
        except ConfigurationError as error:
            errors.append(Error(f"ENTRA_TENANT_ID: {error}", id="accounts.E003"))
    addresses = {"ENTRA_AUTHORITY_HOST": settings.ENTRA_AUTHORITY_HOST}
    if settings.GRAPH_URL:
        addresses["GRAPH_URL"] = settings.GRAPH_URL
    errors += [
        Error(f"{name} is {value!r}; expected an https:// address.", id="accounts.E004")
        for name, value in addresses.items()
        if not value.startswith("https://")
    ]
    if settings.ENTRA_CA_FILE and not Path(settings.ENTRA_CA_FILE).is_file():
        # A warning: nobody can sign in, and a sandbox makes the file after it has migrated.
        problem = f"ENTRA_CA_FILE names {settings.ENTRA_CA_FILE}, which is not a file."
        errors.append(CheckWarning(problem, id="accounts.W005"))
    return errors


def _guard_errors() -> list[CheckMessage]:
    middleware = list(settings.MIDDLEWARE)
    if GUARD in middleware and AUTHENTICATION in middleware[: middleware.index(GUARD)]:
        return []
    return [
        Error(
            f"MIDDLEWARE must hold {GUARD} after {AUTHENTICATION}: without it every page is open.",
            id="accounts.E006",
        )
    ]


def _backend_errors() -> list[CheckMessage]:
    strange = [name for name in settings.AUTHENTICATION_BACKENDS if name not in BACKENDS]
    return [
        Error(
            f"AUTHENTICATION_BACKENDS holds {name}; expected {' and '.join(BACKENDS)} only.",
            hint="Another backend signs people in by its own rules, without ours.",
            id="accounts.E007",
        )
        for name in strange
    ]
