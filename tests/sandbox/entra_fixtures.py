"""What tests need of the fake Entra: a running one, and a relying party's half of a sign-in."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import requests

from sandbox.entra.client import EntraControl, pick_person
from sandbox.entra.directory import WEB_CLIENT_ID, WEB_CLIENT_SECRET
from sandbox.entra.server import EntraServer

REDIRECT_URI = "http://localhost:8000/oidc/callback/"


class Entra:
    """A fake that runs, as a program sees it: over its sockets, with its CA."""

    def __init__(self, server: EntraServer) -> None:
        self.server = server
        self.addresses = server.addresses
        self.ca = str(server.ca_file)
        self.control = EntraControl.of_state(server.addresses.tls, server.ca_file.parent)

    def get(self, url: str, **more: Any) -> requests.Response:
        return requests.get(url, verify=self.ca, timeout=10, **more)

    def post(self, url: str, data: Mapping[str, str], **more: Any) -> requests.Response:
        return requests.post(url, data=data, verify=self.ca, timeout=10, **more)

    def token_request(self, **form: str) -> requests.Response:
        return self.post(self.addresses.token, form)

    def app_token(
        self, scope: str | None = None, *, secret: str = WEB_CLIENT_SECRET
    ) -> requests.Response:
        return self.token_request(
            grant_type="client_credentials",
            client_id=WEB_CLIENT_ID,
            client_secret=secret,
            scope=scope or f"{self.addresses.graph}/.default",
        )

    def graph(self, path: str, token: str | None = None, **headers: str) -> requests.Response:
        bearer = token or self.app_token().json()["access_token"]
        url = path if path.startswith("https:") else f"{self.addresses.graph}/v1.0/{path}"
        return self.get(url, headers={"Authorization": f"Bearer {bearer}", **headers})

    def claims(self, token: str, audience: str) -> dict[str, Any]:
        """The claims of a token that passes a careful check against the published keys."""
        kid = jwt.get_unverified_header(token)["kid"]
        keys = {key["kid"]: key for key in self.get(self.addresses.keys).json()["keys"]}
        decoded: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(keys[kid], algorithm="RS256"),
            algorithms=["RS256"],
            audience=audience,
            issuer=self.addresses.issuer,
            options={"require": ["exp", "iat", "nbf", "iss", "aud"]},
        )
        return decoded


@dataclass
class SignIn:
    """One sign-in from the application's side. Change a field to make it go wrong."""

    entra: Entra
    browser: requests.Session
    state: str = "a-state"
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    redirect_uri: str = REDIRECT_URI
    scope: str = "openid profile email"

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

    def url(self, **changes: str | None) -> str:
        query: dict[str, str | None] = {
            "client_id": WEB_CLIENT_ID,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": self.scope,
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
            **changes,
        }
        given = {name: value for name, value in query.items() if value is not None}
        return f"{self.entra.addresses.authorize}?{urlencode(given)}"

    def open(self, **changes: str | None) -> requests.Response:
        return self.browser.get(self.url(**changes), allow_redirects=False, timeout=10)

    def code(self, person: str = "ada") -> str:
        return answer(pick_person(self.browser, self.url(), person))["code"]

    def redeem(self, code: str, /, **changes: str | None) -> requests.Response:
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "client_id": WEB_CLIENT_ID,
            "client_secret": WEB_CLIENT_SECRET,
            "redirect_uri": self.redirect_uri,
            "code": code,
            "code_verifier": self.verifier,
            **changes,
        }
        return self.entra.token_request(**{k: v for k, v in form.items() if v is not None})

    def id_claims(self, person: str = "ada") -> dict[str, Any]:
        tokens = self.redeem(self.code(person)).json()
        return self.entra.claims(tokens["id_token"], WEB_CLIENT_ID)


def answer(callback_url: str) -> dict[str, str]:
    """The parameters that the application is called back with."""
    query = parse_qs(urlsplit(callback_url).query, keep_blank_values=True)
    return {name: values[0] for name, values in query.items()}


def refusal(response: requests.Response) -> tuple[int, str, int]:
    """Status, OAuth error and AADSTS number of a refused token request."""
    body = response.json()
    return response.status_code, body["error"], body["error_codes"][0]
