"""An administrator who reads the preview of a change and confirms it."""

import re
from html import unescape
from typing import Any

from django.http import HttpResponse
from django.test import Client


def hidden_fields(html: str) -> dict[str, str]:
    """What the form of a preview sends again."""
    pairs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', html)
    return {name: unescape(value) for name, value in pairs}


def preview(client: Client, url: str, form: dict[str, Any]) -> str:
    response = client.post(url, form)
    assert response.status_code == 200, response.headers
    return response.content.decode()


def confirm(client: Client, url: str, form: dict[str, Any]) -> HttpResponse:
    """Send the form, then what its preview sends on."""
    fields = hidden_fields(preview(client, url, form))
    assert "_confirmed" in fields, "no preview: is the form valid?"
    response = client.post(url, form | fields)
    assert isinstance(response, HttpResponse)
    return response
