"""The fake's own pages: pick a person, a refusal, signed out. No script, no inline style."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.entra.directory import COMPANY, Person
from sandbox.entra.exchange import Response

STYLESHEET = Path(__file__).with_name("sign_in.css")
STYLESHEET_PATH = "/assets/sign-in.css"


@dataclass(frozen=True)
class Choice:
    """The sign-in page: who may be picked, and what the form sends besides."""

    people: Sequence[Person]
    application: str
    action: str
    request: str
    redirect_uri: str
    signed_in: frozenset[str] = frozenset()  # keys of people with a session already
    hinted: str | None = None  # key of the person that the application expects


def pick_page(choice: Choice) -> Response:
    """The page to pick a person on."""
    people = sorted(choice.people, key=lambda person: person.key != choice.hinted)
    body = f"""
<header>
  <p class="company">{escape(COMPANY)}</p>
  <h1>Sign in to {escape(choice.application)}</h1>
  <p class="sub">Pick a person. Nobody here is real, so there is no password.</p>
</header>
<form method="post" action="{escape(choice.action)}">
  <input type="hidden" name="request" value="{escape(choice.request)}">
  <ul class="people">
    {"".join(_person_item(person, choice) for person in people)}
  </ul>
  <button class="quiet" name="cancel" value="1">Cancel and go back</button>
</form>"""
    # Browsers apply form-action to where the answer redirects to: the application.
    policy = {"form-action": f"'self' {origin(choice.redirect_uri)}"}
    return _page(f"Sign in to {choice.application}", body, policy=policy)


def _person_item(person: Person, choice: Choice) -> str:
    badges = "".join(
        f'<span class="badge {name}">{label}</span>'
        for wanted, name, label in (
            (person.guest, "guest", "Guest"),
            (not person.enabled, "disabled", "Disabled"),
            (person.key in choice.signed_in, "active", "Signed in"),
        )
        if wanted
    )
    initials = f"{person.given_name[0]}{person.surname[0]}"
    # The spans are inline for a screen reader, which reads the button as one sentence.
    return f"""<li><button class="person" name="person" value="{escape(person.key)}">
      <span class="initials" aria-hidden="true">{escape(initials)}</span>
      <span class="who"><span class="name">{escape(person.name)} {badges}</span>
      <span class="upn">{escape(person.email)}</span>
      <span class="sees">{escape(person.sees)}</span></span>
    </button></li>"""


def refusal_page(message: str, *, status: int = 400, again: str | None = None) -> Response:
    """Entra's error page; ``again`` is where another person may be picked."""
    number, _, text = message.partition(": ")
    link = (
        f'<p><a class="button" href="{escape(again)}">Pick another person</a></p>' if again else ""
    )
    body = f"""
<header>
  <p class="company">{escape(COMPANY)}</p>
  <h1>Sorry, we cannot sign you in</h1>
</header>
<p class="problem"><strong>{escape(number)}</strong> {escape(text)}</p>
{link}"""
    return _page("Sign-in refused", body, status=status)


def signed_out_page(
    *, names: Iterable[str], frames: Sequence[str], onward: str | None, refused: str | None
) -> Response:
    """Signed out: calls ``frames`` hidden, then goes ``onward``.

    ``refused`` is an address that nobody registered; the page says so and stays.
    """
    who = ", ".join(names)
    iframes = "".join(
        f'<iframe class="hidden" title="Signing out of {escape(origin(url))}" aria-hidden="true" '
        f'tabindex="-1" src="{escape(url)}"></iframe>'
        for url in frames
    )
    problem = (
        f'<p class="problem"><strong>AADSTS50011</strong> You stay here, because {escape(refused)} '
        "is not registered as an address to return to.</p>"
        if refused
        else ""
    )
    link = f'<p><a class="button" href="{escape(onward)}">Continue</a></p>' if onward else ""
    body = f"""
<header>
  <p class="company">{escape(COMPANY)}</p>
  <h1>You are signed out</h1>
  <p class="sub">{escape(who) + " signed out." if who else "Nobody was signed in."}</p>
</header>
{problem}{link}{iframes}"""
    policy = {"frame-src": " ".join(sorted({origin(url) for url in frames}))} if frames else {}
    # The refresh's time begins when the page and its frames are loaded, so each was called.
    head = f'<meta http-equiv="refresh" content="0;url={escape(onward)}">' if onward else ""
    return _page("Signed out", body, status=400 if refused else 200, policy=policy, head=head)


def stylesheet() -> Response:
    """The pages' one stylesheet."""
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Response(200, "text/css; charset=utf-8", STYLESHEET.read_bytes(), headers)


def origin(url: str) -> str:
    """Scheme, host and port of ``url``."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _page(
    title: str,
    body: str,
    *,
    status: int = 200,
    policy: dict[str, str] | None = None,
    head: str = "",
) -> Response:
    directives = {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "data:",  # the empty icon, which keeps browsers from asking for one
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        **(policy or {}),
    }
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)} · {escape(COMPANY)}</title>
<link rel="stylesheet" href="{STYLESHEET_PATH}">
<link rel="icon" href="data:,">
{head}
</head>
<body>
<main>{body}
</main>
<footer><p>A fake Microsoft Entra ID for the sandbox. It opens nothing outside of this machine.</p>
</footer>
</body>
</html>
"""
    return Response.html(
        page,
        status=status,
        headers={
            "Content-Security-Policy": "; ".join(f"{k} {v}" for k, v in directives.items()),
            "Referrer-Policy": "no-referrer",
        },
    )
