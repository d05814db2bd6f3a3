"""What holds for every input: redirect URIs, lifetimes, skip tokens."""

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.entra.applications import Applications
from sandbox.entra.directory import WEB_CLIENT_ID
from sandbox.entra.errors import GraphError
from sandbox.entra.graph_pages import seal, unseal
from sandbox.entra.hostile import Flaw, Recipe
from sandbox.entra.tokens import seconds_left, times

WEB = Applications().get(WEB_CLIENT_ID)
PATHS = {"/oidc/callback/", "/signed-out/", "/"}
PIECES = st.sampled_from(
    [
        *(
            "http:",
            "https:",
            "//",
            "/",
            "\\",
            "@",
            "#",
            "?",
            "?a=b",
            ":",
            ":80",
            ":8000",
            ".",
            "..",
        ),
        *("localhost", "127.0.0.1", "127.1", "[::1]", "evil.example", "\n", "\t", " ", "\x00", "é"),
        *("/oidc/callback/", "/signed-out/", "%2f", ";", "javascript:"),
    ]
)


@given(st.lists(PIECES, max_size=8).map("".join))
@example("http://localhost:8000/oidc/callback/")
@example("http://127.0.0.1/")
def test_only_registered_addresses_of_this_machine_are_redirected_to(uri: str) -> None:
    if WEB.allows_redirect(uri):
        parts = urlsplit(uri)
        assert parts.scheme == "http"
        assert parts.hostname in {"localhost", "127.0.0.1"}
        assert parts.path in PATHS
        assert not parts.query
        assert uri.isascii()
        assert uri.isprintable()
        assert not set(uri) & set(" \\@#")


@given(st.integers(0, 65535), st.sampled_from(sorted(PATHS)))
def test_every_port_of_this_machine_is_registered(port: int, path: str) -> None:
    assert WEB.allows_redirect(f"http://localhost:{port}{path}")


@given(st.floats(0.01, 10_000), st.floats(1e9, 4e9))
def test_a_token_never_lives_longer_than_said(lifetime: float, now: float) -> None:
    claims = times(lifetime, now)

    assert claims["iat"] == claims["nbf"] <= now
    assert claims["exp"] <= now + lifetime
    assert claims["exp"] > now + lifetime - 1
    assert 0 <= seconds_left(claims, now) <= lifetime + 1e-6  # what a float of that size loses


@given(st.binary(min_size=1, max_size=32), st.integers(0, 10**6), st.text(max_size=20))
def test_a_skip_token_serves_its_own_list_only(key: bytes, start: int, other: str) -> None:
    token = seal(key, "/graph/a", start)

    assert unseal(key, "/graph/a", token) == start
    for path, forged in ((f"/graph/b{other}", token), ("/graph/a", other), ("/graph/a", token[4:])):
        with pytest.raises(GraphError):
            unseal(key, path, forged)


@given(st.text(max_size=12))
def test_an_unknown_flaw_is_refused(flaw: str) -> None:
    if flaw in set(Flaw):
        assert Recipe.from_json({"flaw": flaw}).flaw == flaw
    else:
        with pytest.raises(ValueError, match="expected one of"):
            Recipe.from_json({"flaw": flaw})
