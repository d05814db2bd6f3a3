"""What every answer tells the browser to refuse."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/sign-in/", "/", "/nowhere/", "/healthz"])
def test_every_answer_switches_devices_off(client: Client, path: str) -> None:
    policy = client.get(path)["Permissions-Policy"]
    for feature in ("camera", "geolocation", "microphone", "payment", "usb"):
        assert f"{feature}=()" in policy


def test_no_directive_allows_anything_inline_or_from_elsewhere(client: Client) -> None:
    policy = client.get("/sign-in/")["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    for word in ("unsafe-inline", "unsafe-eval", "*"):
        assert word not in policy
