"""What ``manage.py check --deploy`` says of sign-in, besides what Django itself says.

Each entry is one sentence and one number. Django's own checks report cookies without ``Secure``,
``DEBUG``, HSTS, the redirect to https, framing, opener and referrer policy.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Tags, register
from django.core.checks import Warning as CheckWarning

from accounts.credentials import WAYS

MAX_SESSION: Final = timedelta(hours=12)
MAX_FACTS: Final = timedelta(hours=1)
CSP_MIDDLEWARE: Final = "csp.middleware.CSPMiddleware"
_UNSAFE: Final = ("unsafe-inline", "unsafe-eval", "unsafe-hashes", "*", "http:", "https:", "data:")

Check = tuple[int, Callable[[], bool], str]


@register(Tags.security, deploy=True)
def check_deployment(
    app_configs: Sequence[AppConfig] | None = None, **_options: Any
) -> list[CheckMessage]:
    """Return one warning for each setting that a deployment should not have."""
    return [
        CheckWarning(text, id=f"accounts.W{number:03}")
        for number, is_fine, text in (*_COOKIES, *_POLICY, *_SIGN_IN)
        if not is_fine()
    ]


def _directive(name: str) -> list[str]:
    policy = getattr(settings, "CONTENT_SECURITY_POLICY", None) or {}
    return [str(source) for source in policy.get("DIRECTIVES", {}).get(name) or []]


def _scripts_are_ours() -> bool:
    sources = _directive("script-src") or _directive("default-src")
    styles = _directive("style-src") or _directive("default-src")
    return bool(sources) and not any(word in f"{sources}{styles}" for word in _UNSAFE)


def _behind_proxies() -> bool:
    return getattr(settings, "SECURE_PROXY_SSL_HEADER", None) is not None


_COOKIES: Final[list[Check]] = [
    (
        20,
        lambda: settings.SESSION_COOKIE_NAME.startswith("__Host-"),
        "SESSION_COOKIE_NAME does not begin with __Host-: another host of the domain can set it.",
    ),
    (
        21,
        lambda: settings.CSRF_COOKIE_NAME.startswith("__Host-"),
        "CSRF_COOKIE_NAME does not begin with __Host-: another host of the domain can set it.",
    ),
    (
        22,
        lambda: settings.SESSION_COOKIE_DOMAIN is None and settings.SESSION_COOKIE_PATH == "/",
        "SESSION_COOKIE_DOMAIN and SESSION_COOKIE_PATH must be None and '/'.",
    ),
    (
        23,
        lambda: MAX_SESSION.total_seconds() >= settings.SESSION_COOKIE_AGE,
        "SESSION_COOKIE_AGE is longer than 12 hours.",
    ),
    (24, lambda: settings.SESSION_COOKIE_HTTPONLY, "SESSION_COOKIE_HTTPONLY is false."),
    (
        25,
        lambda: all(
            origin.startswith("https://") and "*" not in origin
            for origin in settings.CSRF_TRUSTED_ORIGINS
        ),
        "CSRF_TRUSTED_ORIGINS holds a wildcard or an origin without https.",
    ),
    (
        26,
        lambda: bool(settings.ALLOWED_HOSTS) and "*" not in settings.ALLOWED_HOSTS,
        "ALLOWED_HOSTS lets every host name through.",
    ),
]
_POLICY: Final[list[Check]] = [
    (
        30,
        lambda: CSP_MIDDLEWARE in settings.MIDDLEWARE,
        f"MIDDLEWARE lacks {CSP_MIDDLEWARE}: no Content-Security-Policy is sent.",
    ),
    (
        31,
        _scripts_are_ours,
        "CONTENT_SECURITY_POLICY lets scripts or styles in that are not this site's own files.",
    ),
    (
        32,
        lambda: settings.ENTRA_AUTHORITY_HOST in _directive("form-action"),
        "CONTENT_SECURITY_POLICY's form-action lacks ENTRA_AUTHORITY_HOST: browsers stop the"
        " sign-out on its way to Entra ID.",
    ),
    (
        33,
        lambda: _directive("frame-ancestors") == ["'none'"],
        "CONTENT_SECURITY_POLICY's frame-ancestors is not 'none': pages can be framed.",
    ),
    (
        34,
        lambda: _directive("base-uri") == ["'none'"],
        "CONTENT_SECURITY_POLICY's base-uri is not 'none'.",
    ),
]
_SIGN_IN: Final[list[Check]] = [
    (
        40,
        lambda: sum(bool(getattr(settings, way)) for way in WAYS) == 1,
        f"Sign-in needs exactly one of {', '.join(WAYS)}.",
    ),
    (
        41,
        lambda: settings.ENTRA_GROUPS_MAX_AGE <= MAX_FACTS,
        "ENTRA_GROUPS_MAX_AGE is longer than an hour: a lost group counts for as long.",
    ),
    (
        42,
        lambda: settings.ENTRA_TOKEN_OVERRUN <= MAX_FACTS,
        "ENTRA_TOKEN_OVERRUN is longer than an hour: a session outlives its token for as long.",
    ),
    (
        43,
        lambda: settings.SIGN_IN_RATE_PER_ADDRESS > 0,
        "SIGN_IN_RATE_PER_ADDRESS is 0: nothing limits how often one may knock.",
    ),
    (
        44,
        lambda: not settings.CACHES["limits"]["BACKEND"].endswith("LocMemCache"),
        "CACHES['limits'] is each process's own, so limits count per process: set REDIS_URL.",
    ),
    (
        45,
        lambda: _behind_proxies() == (settings.TRUSTED_PROXY_COUNT > 0),
        "TRUST_FORWARDED_PROTO and TRUSTED_PROXY_COUNT disagree on whether there is a proxy:"
        " limits and records would go by a proxy's address, or by what a visitor writes.",
    ),
    (
        46,
        lambda: not settings.BREAK_GLASS_SIGN_IN,
        "BREAK_GLASS_SIGN_IN is true: the emergency door is open. Close it when it is not needed.",
    ),
    (47, lambda: 0 < settings.ENTRA_TIMEOUT <= 30, "ENTRA_TIMEOUT is not within 30 seconds."),
]
