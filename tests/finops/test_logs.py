"""No secret reaches a log line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.logs import REMOVED, without_secrets

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"  # shaped like one, made up


@pytest.mark.parametrize(
    "name", ["access_token", "client_secret", "Authorization", "nonce", "code_verifier", "code"]
)
def test_a_value_with_a_secret_name_is_removed(name: str) -> None:
    assert without_secrets(None, "info", {name: "s3cret"})[name] == REMOVED


@given(before=st.text(max_size=20), after=st.text(alphabet=" .;,", max_size=5))
def test_a_token_is_removed_wherever_it_stands(before: str, after: str) -> None:
    event = without_secrets(None, "info", {"event": f"{before} {TOKEN}{after}"})
    assert TOKEN not in event["event"]


def test_the_code_of_a_callback_is_removed_from_its_address() -> None:
    event = {"request": "GET /oidc/callback/?code=0.AX&state=abc&session_state=d HTTP/1.1"}
    shown = without_secrets(None, "info", event)["request"]
    assert "0.AX" not in shown
    assert "abc" not in shown
    assert "/oidc/callback/" in shown


def test_other_values_stay() -> None:
    event = {"event": "batch committed", "flow": "costs", "events": 12}
    assert without_secrets(None, "info", dict(event)) == event
