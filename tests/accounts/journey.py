"""One browser's way: our pages through Django's test client, Entra's through real HTTP."""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from django.contrib.auth import SESSION_KEY
from django.http import HttpResponse
from django.test import Client

from accounts.models import AuditEvent
from sandbox.entra.client import pick_person

CALLBACK = "/oidc/callback/"


@dataclass
class Journey:
    client: Client
    elsewhere: requests.Session  # the same browser, at Entra

    def start(self, next_path: str = "/") -> str:
        """The address at Entra that the button leads to."""
        response = self.client.get("/oidc/authenticate/", {"next": next_path})
        assert response.status_code == 302, response.content
        return response["Location"]

    def pick(self, person: str, next_path: str = "/") -> dict[str, str]:
        """What Entra sends back with ``person``."""
        return query_of(pick_person(self.elsewhere, self.start(next_path), person))

    def call_back(self, **parameters: str) -> HttpResponse:
        response = self.client.get(f"{CALLBACK}?{urlencode(parameters)}")
        assert isinstance(response, HttpResponse)
        return response

    def sign_in(self, person: str, next_path: str = "/") -> HttpResponse:
        return self.call_back(**self.pick(person, next_path))

    @property
    def is_signed_in(self) -> bool:
        return SESSION_KEY in self.client.session


def query_of(url: str) -> dict[str, str]:
    query = parse_qs(urlsplit(url).query, keep_blank_values=True)
    return {name: values[0] for name, values in query.items()}


def refusals() -> list[str]:
    """The reasons of all refused sign-ins, in order."""
    events = AuditEvent.objects.filter(kind=AuditEvent.Kind.SIGN_IN_REFUSED)
    return list(events.order_by("pk").values_list("reason", flat=True))
