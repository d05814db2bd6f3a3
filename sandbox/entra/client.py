"""The control plane from the outside, and a person's way through the pages.

For tests, and for the sandbox's supervisor.
"""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import requests

from sandbox.entra.authorize import PERSON_HEADER
from sandbox.entra.control import HEADER
from sandbox.entra.directory import WEB_CLIENT_ID
from sandbox.entra.faults import Endpoints, FaultKind
from sandbox.entra.hostile import Flaw

_TIMEOUT = 30.0


class ControlRefused(Exception):
    """The fake refused a control call; says why in its own words."""


class SignInRefused(Exception):
    """The fake ended a sign-in on a page of its own; the message begins with the AADSTS number."""


@dataclass(frozen=True)
class EntraControl:
    """Every control call. ``base_url`` is the TLS listener's origin."""

    base_url: str
    ca_file: str | Path
    token: str = field(repr=False)

    @classmethod
    def of_state(cls, base_url: str, state: Path) -> "EntraControl":
        """For the fake whose state folder is ``state``."""
        token = (state / "control-token").read_text(encoding="ascii").strip()
        return cls(base_url, state / "ca.pem", token)

    def reset(self) -> None:
        """People, failures, lifetimes, hits and sign-ins as at the start; keys stay."""
        self._call("POST", "reset")

    def rotate_keys(self, *, withdraw_old: bool = False) -> str:
        """Sign with the next key; the answer is its kid. A withdrawn old key verifies no more."""
        return str(self._call("POST", "rotate-keys", withdraw_old=withdraw_old)["signing"])

    def set_lifetimes(
        self,
        *,
        token: float | None = None,
        code: float | None = None,
        federated: float | None = None,
    ) -> None:
        """In seconds. A new lifetime of the federated token renews its file at once."""
        wanted = {"token": token, "code": code, "federated": federated}
        self._call("PUT", "lifetimes", **{k: v for k, v in wanted.items() if v is not None})

    def sign_in_by_hint(self, *, enabled: bool = True) -> None:
        """Whether a ``login_hint`` signs in without a page."""
        self._call("PUT", "sign-in", by_hint=enabled)

    def reuse_codes(self, *, enabled: bool = True) -> None:
        """Whether a code may be redeemed more than once, for tests of what we do about it."""
        self._call("PUT", "codes", reusable=enabled)

    def register(
        self,
        *,
        client_id: str = WEB_CLIENT_ID,
        redirect_uri: str | None = None,
        front_channel_url: str | None = None,
    ) -> None:
        """One more redirect URI, or the front-channel logout URL, of an application."""
        wanted = {"redirect_uri": redirect_uri, "front_channel_url": front_channel_url}
        self._call("POST", f"applications/{client_id}", **wanted)

    def fail(
        self,
        endpoints: Endpoints,
        kind: FaultKind = FaultKind.STATUS,
        *,
        times: int | None = 1,
        status: int = 503,
        retry_after: str | int | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Make the next ``times`` answers fail (None: until ``stop_failing``)."""
        self._call(
            "POST",
            f"faults/{endpoints}",
            kind=kind,
            times=times,
            status=status,
            retry_after=retry_after,
            seconds=seconds,
        )

    def stop_failing(self) -> None:
        """Forget the failures that still wait."""
        self._call("DELETE", "faults")

    def mint_id_token(
        self,
        flaw: Flaw = Flaw.NONE,
        *,
        person: str = "ada",
        nonce: str = "a-nonce",
        client_id: str = WEB_CLIENT_ID,
        claims: dict[str, object] | None = None,
        headers: dict[str, object] | None = None,
    ) -> str:
        """An id token with one flaw. A claim or header of None is left out."""
        return self._mint(
            "id",
            flaw,
            claims,
            headers,
            {"person": person, "nonce": nonce, "client_id": client_id},
        )

    def mint_access_token(
        self,
        flaw: Flaw = Flaw.NONE,
        *,
        audience: str,
        client_id: str = WEB_CLIENT_ID,
        claims: dict[str, object] | None = None,
        headers: dict[str, object] | None = None,
    ) -> str:
        """An application's access token with one flaw, for any audience."""
        return self._mint(
            "access", flaw, claims, headers, {"audience": audience, "client_id": client_id}
        )

    def mint_federated_token(
        self,
        flaw: Flaw = Flaw.NONE,
        *,
        claims: dict[str, object] | None = None,
        headers: dict[str, object] | None = None,
    ) -> str:
        """A token of the cluster's, as in the file federated-token, with one flaw."""
        return self._mint("federated", flaw, claims, headers, {})

    def queue_id_token(
        self,
        flaw: Flaw = Flaw.NONE,
        *,
        claims: dict[str, object] | None = None,
        headers: dict[str, object] | None = None,
    ) -> None:
        """Give this id token to the next code exchange, in place of the good one."""
        self._call("POST", "next-id-token", flaw=flaw, claims=claims, headers=headers)

    def hits(self) -> dict[str, int]:
        """How many requests each endpoint had since the start, ``forget_hits`` or ``reset``."""
        return {name: int(count) for name, count in self._call("GET", "hits").items()}

    def forget_hits(self) -> None:
        """Count from zero."""
        self._call("DELETE", "hits")

    def people(self) -> list[dict[str, Any]]:
        """The people as they are now."""
        found: list[dict[str, Any]] = self._call("GET", "people")["people"]
        return found

    def change_person(
        self, key: str, *, enabled: bool | None = None, groups: list[str] | None = None
    ) -> None:
        """Enable or disable a person, or replace their direct groups."""
        changes = {"enabled": enabled, "groups": groups}
        self._call("PATCH", f"people/{key}", **{k: v for k, v in changes.items() if v is not None})

    def delete_person(self, key: str) -> None:
        """Graph answers 404 for them from now on."""
        self._call("DELETE", f"people/{key}")

    def revoke_sessions(self, key: str) -> None:
        """End a person's sessions with the fake and move ``signInSessionsValidFromDateTime``."""
        self._call("POST", f"people/{key}/revoke-sessions")

    def _mint(
        self,
        kind: str,
        flaw: Flaw,
        claims: dict[str, object] | None,
        headers: dict[str, object] | None,
        more: dict[str, object],
    ) -> str:
        answer = self._call(
            "POST", "mint", kind=kind, flaw=flaw, claims=claims, headers=headers, **more
        )
        return str(answer["token"])

    def _call(self, method: str, path: str, **content: object) -> dict[str, Any]:
        # verify= on the call itself: a session's would lose to REQUESTS_CA_BUNDLE.
        response = requests.request(
            method,
            f"{self.base_url}/control/{path}",
            json=content,
            headers={HEADER: self.token},
            verify=str(self.ca_file),
            timeout=_TIMEOUT,
        )
        answer: dict[str, Any] = response.json()
        if not response.ok:
            raise ControlRefused(f"{method} {path}: {answer.get('error')}")
        return answer


def pick_person(session: requests.Session, authorize_url: str, person_key: str) -> str:
    """Walk the sign-in pages as a browser does; the answer is the URL that it is sent back to.

    Somebody else's session with the fake does not get in the way. Raises ``SignInRefused``.
    """
    response = _open(session, authorize_url)
    signed_in = response.headers.get(PERSON_HEADER, person_key)
    if signed_in != person_key:
        response = _open(session, _with_prompt(authorize_url))
    if response.is_redirect:
        return response.headers["Location"]
    page = _Page.read(response)
    form = page.hidden | {"person": person_key}
    action = urljoin(response.url, page.action)
    answer = session.post(action, data=form, allow_redirects=False, timeout=_TIMEOUT)
    if not answer.is_redirect:
        _Page.read(answer)
        raise SignInRefused("The sign-in page was shown again.")
    return answer.headers["Location"]


def _open(session: requests.Session, url: str) -> requests.Response:
    return session.get(url, allow_redirects=False, timeout=_TIMEOUT)


def _with_prompt(authorize_url: str) -> str:
    parts = urlsplit(authorize_url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return parts._replace(query=urlencode(query | {"prompt": "select_account"})).geturl()


class _Page(HTMLParser):
    """What a person needs of a page: where its form goes, its hidden fields, its refusal."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.hidden: dict[str, str] = {}
        self.problem = ""
        self._in_problem = False

    @classmethod
    def read(cls, response: requests.Response) -> "_Page":
        """The page. Raises ``SignInRefused`` for one that refuses."""
        page = cls()
        page.feed(response.text)
        page.close()
        if page.problem or not response.ok:
            raise SignInRefused(" ".join(page.problem.split()) or f"HTTP {response.status_code}")
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note forms, hidden fields, and where a refusal begins."""
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = found.get("action", "")
        elif tag == "input" and found.get("type") == "hidden":
            self.hidden[found.get("name", "")] = found.get("value", "")
        elif tag == "p" and found.get("class") == "problem":
            self._in_problem = True

    def handle_endtag(self, tag: str) -> None:
        """Note where a refusal ends."""
        if tag == "p":
            self._in_problem = False

    def handle_data(self, data: str) -> None:
        """Keep the words of a refusal."""
        if self._in_problem:
            self.problem += data
