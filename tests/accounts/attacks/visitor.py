"""A browser on its way between the site and Entra, both over real HTTP."""

from typing import Any
from urllib.parse import urlencode

import requests
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore

from sandbox.entra.client import pick_person
from tests.accounts.journey import CALLBACK, query_of


class Visitor:
    """``site`` is the running site's address. Redirects are not followed."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.browser = requests.Session()
        self.browser.trust_env = False
        self.seen: list[requests.Response] = []

    def get(self, path: str, **headers: str) -> requests.Response:
        response = self.browser.get(
            f"{self.site}{path}", headers=headers, allow_redirects=False, timeout=20
        )
        self.seen.append(response)
        return response

    def post(self, path: str, **form: str) -> requests.Response:
        token = self.browser.cookies.get(settings.CSRF_COOKIE_NAME) or ""
        response = self.browser.post(
            f"{self.site}{path}",
            data={"csrfmiddlewaretoken": token, **form},
            allow_redirects=False,
            timeout=20,
        )
        self.seen.append(response)
        return response

    def start(self, next_path: str = "/") -> str:
        """The address at Entra that the button leads to."""
        response = self.get(f"/oidc/authenticate/?{urlencode({'next': next_path})}")
        assert response.status_code == 302, response.text
        return response.headers["Location"]

    def pick(self, person: str = "ada") -> dict[str, str]:
        """What Entra sends back with ``person``."""
        return query_of(pick_person(self.browser, self.start(), person))

    def call_back(self, query: dict[str, Any] | str) -> requests.Response:
        text = query if isinstance(query, str) else urlencode(query, doseq=True)
        return self.get(f"{CALLBACK}?{text}")

    def sign_in(self, person: str = "ada") -> None:
        self.call_back(self.pick(person))
        assert self.user_id, self.seen[-1].text

    @property
    def session(self) -> SessionStore:
        """The site's session of this browser, as it is stored now."""
        return SessionStore(self.browser.cookies.get(settings.SESSION_COOKIE_NAME))

    @property
    def user_id(self) -> str | None:
        """Whose session this is; None for nobody's."""
        found = self.session.get(SESSION_KEY)
        return str(found) if found is not None else None

    def change_session(self, **values: Any) -> None:
        session = self.session
        session.update(values)
        session.save()

    def close(self) -> None:
        self.browser.close()
