"""Each insecure setting of sign-in is an error of ``manage.py check``."""

from typing import Any

import pytest
from django.conf import settings as django_settings
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
