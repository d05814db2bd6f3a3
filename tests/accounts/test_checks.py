"""Each insecure setting of sign-in is an error of ``manage.py check``."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import Tags, run_checks
from pytest_django import Settings

from accounts.checks import GUARD, check_sign_in


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("SESSION_ENGINE", "django.contrib.sessions.backends.signed_cookies", "E001"),
        ("SESSION_COOKIE_SAMESITE", "Strict", "E002"),
        ("SESSION_COOKIE_SAMESITE", "None", "E002"),
        ("ENTRA_TENANT_ID", "common", "E003"),
        ("ENTRA_TENANT_ID", "organizations", "E003"),
        ("ENTRA_TENANT_ID", "contoso.onmicrosoft.com", "E003"),
        ("ENTRA_AUTHORITY_HOST", "http://login.example", "E004"),
        ("GRAPH_URL", "http://graph.example", "E004"),
        ("ENTRA_CA_FILE", "/no/such/file.pem", "W005"),
        ("MIDDLEWARE", [m for m in django_settings.MIDDLEWARE if m != GUARD], "E006"),
        ("MIDDLEWARE", [GUARD, *django_settings.MIDDLEWARE], "E006"),
    ],
)
def test_an_insecure_setting_is_an_error(
    settings: Settings, name: str, value: Any, error: str
) -> None:
    setattr(settings, name, value)

    assert [found.id for found in check_sign_in()] == [f"accounts.{error}"]


def test_the_settings_as_they_are_pass() -> None:
    assert check_sign_in() == []


GOOD: dict[str, Any] = {
    "DEBUG": False,
    "SECRET_KEY": "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0hL3oR6uX9-aB3dE6gH9jK2mN5",
    "ALLOWED_HOSTS": ["costs.example.com"],
    "SESSION_COOKIE_NAME": "__Host-sessionid",
    "CSRF_COOKIE_NAME": "__Host-csrftoken",
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "CSRF_TRUSTED_ORIGINS": ["https://costs.example.com"],
    "SECURE_SSL_REDIRECT": True,
    "SECURE_HSTS_SECONDS": 31536000,
    "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
    "SECURE_HSTS_PRELOAD": True,
    "SIGN_IN_RATE_PER_ADDRESS": 300,
    "CACHES": {
        **django_settings.CACHES,
        "limits": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis:"},
    },
}


def without(name: str) -> list[str]:
    return [m for m in django_settings.MIDDLEWARE if m != name]


def policy(**directives: list[str]) -> dict[str, Any]:
    ours = django_settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    names = {name.replace("_", "-"): sources for name, sources in directives.items()}
    return {"DIRECTIVES": {**ours, **names}}


@pytest.fixture
def deployed(settings: Settings) -> Settings:
    for name, value in GOOD.items():
        setattr(settings, name, value)
    return settings


def reported() -> set[str]:
    return {str(m.id) for m in run_checks(tags=[Tags.security], include_deployment_checks=True)}


def test_a_good_deployment_is_told_nothing(deployed: Settings) -> None:
    assert reported() == set()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SESSION_ENGINE", "django.contrib.sessions.backends.signed_cookies", "accounts.E001"),
        ("SESSION_COOKIE_SAMESITE", "None", "accounts.E002"),
        ("ENTRA_TENANT_ID", "common", "accounts.E003"),
        ("ENTRA_AUTHORITY_HOST", "http://login.example", "accounts.E004"),
        ("MIDDLEWARE", without(GUARD), "accounts.E006"),
        ("AUTHENTICATION_BACKENDS", ["mozilla_django_oidc.auth.X"], "accounts.E007"),
        ("SESSION_COOKIE_NAME", "sessionid", "accounts.W020"),
        ("CSRF_COOKIE_NAME", "csrftoken", "accounts.W021"),
        ("SESSION_COOKIE_DOMAIN", ".example.com", "accounts.W022"),
        ("SESSION_COOKIE_PATH", "/costs/", "accounts.W022"),
        ("SESSION_COOKIE_AGE", 14 * 24 * 3600, "accounts.W023"),
        ("SESSION_COOKIE_HTTPONLY", False, "accounts.W024"),
        ("CSRF_TRUSTED_ORIGINS", ["https://*.example.com"], "accounts.W025"),
        ("CSRF_TRUSTED_ORIGINS", ["http://costs.example.com"], "accounts.W025"),
        ("ALLOWED_HOSTS", ["*"], "accounts.W026"),
        ("MIDDLEWARE", without("csp.middleware.CSPMiddleware"), "accounts.W030"),
        ("CONTENT_SECURITY_POLICY", None, "accounts.W031"),
        ("CONTENT_SECURITY_POLICY", policy(script_src=["'unsafe-inline'"]), "accounts.W031"),
        ("CONTENT_SECURITY_POLICY", policy(style_src=["'unsafe-inline'"]), "accounts.W031"),
        ("CONTENT_SECURITY_POLICY", policy(script_src=["*"]), "accounts.W031"),
        ("CONTENT_SECURITY_POLICY", policy(form_action=["'self'"]), "accounts.W032"),
        ("CONTENT_SECURITY_POLICY", policy(frame_ancestors=["'self'"]), "accounts.W033"),
        ("CONTENT_SECURITY_POLICY", policy(base_uri=["'self'"]), "accounts.W034"),
        ("ENTRA_CLIENT_SECRET", "", "accounts.W040"),
        ("ENTRA_FEDERATED_TOKEN_FILE", "/token", "accounts.W040"),
        ("ENTRA_GROUPS_MAX_AGE", timedelta(days=1), "accounts.W041"),
        ("ENTRA_TOKEN_OVERRUN", timedelta(days=1), "accounts.W042"),
        ("SIGN_IN_RATE_PER_ADDRESS", 0, "accounts.W043"),
        ("CACHES", django_settings.CACHES, "accounts.W044"),
        ("SECURE_PROXY_SSL_HEADER", ("HTTP_X_FORWARDED_PROTO", "https"), "accounts.W045"),
        ("TRUSTED_PROXY_COUNT", 1, "accounts.W045"),
        ("BREAK_GLASS_SIGN_IN", True, "accounts.W046"),
        ("ENTRA_TIMEOUT", 300.0, "accounts.W047"),
        ("MIDDLEWARE", without("django.middleware.security.SecurityMiddleware"), "security.W001"),
        (
            "MIDDLEWARE",
            without("django.middleware.clickjacking.XFrameOptionsMiddleware"),
            "security.W002",
        ),
        ("MIDDLEWARE", without("django.middleware.csrf.CsrfViewMiddleware"), "security.W003"),
        ("SECURE_HSTS_SECONDS", 0, "security.W004"),
        ("SECURE_HSTS_INCLUDE_SUBDOMAINS", False, "security.W005"),
        ("SECURE_CONTENT_TYPE_NOSNIFF", False, "security.W006"),
        ("SECURE_SSL_REDIRECT", False, "security.W008"),
        ("SECRET_KEY", "short", "security.W009"),
        ("SESSION_COOKIE_SECURE", False, "security.W012"),
        ("CSRF_COOKIE_SECURE", False, "security.W016"),
        ("DEBUG", True, "security.W018"),
        ("X_FRAME_OPTIONS", "SAMEORIGIN", "security.W019"),
        ("SECURE_HSTS_PRELOAD", False, "security.W021"),
        ("SECURE_REFERRER_POLICY", None, "security.W022"),
        ("SECURE_CROSS_ORIGIN_OPENER_POLICY", "nonsense", "security.E024"),
    ],
)
def test_a_deployment_is_told_each_weakness(
    deployed: Settings, name: str, value: Any, expected: str
) -> None:
    setattr(deployed, name, value)

    assert expected in reported()
