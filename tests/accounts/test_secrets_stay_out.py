"""No code, state, nonce, token or secret in a log line, a row, a page or an error report."""

import json
import logging
from collections.abc import Iterator

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client, RequestFactory
from django.views.debug import ExceptionReporter
from pytest_django import Settings

from accounts import id_token
from accounts.models import AuditEvent
from accounts.reasons import Refused
from finops.logs import without_secrets
from sandbox.entra.directory import WEB_CLIENT_SECRET
from sandbox.entra.hostile import Flaw
from tests.accounts.journey import Journey, refusals
from tests.sandbox.entra_fixtures import Entra

pytestmark = pytest.mark.django_db


@pytest.fixture
def written(capfd: pytest.CaptureFixture[str]) -> Iterator[logging.Logger]:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    yield root
    root.setLevel(level)


@pytest.mark.parametrize("flaw", [Flaw.NONE, Flaw.OTHER_KEY, Flaw.ALG_NONE, Flaw.GARBAGE])
def test_a_sign_in_leaves_no_secret_behind(
    journey: Journey,
    entra: Entra,
    client: Client,
    flaw: Flaw,
    written: logging.Logger,
    capfd: pytest.CaptureFixture[str],
) -> None:
    entra.control.queue_id_token(flaw)
    answer = journey.pick("ada")
    kept = client.session["oidc_states"][answer["state"]]

    page = journey.call_back(**answer).content.decode()

    out = "".join(capfd.readouterr())
    rows = json.dumps(list(AuditEvent.objects.values()), default=str)
    secrets = [answer["code"], answer["state"], kept["nonce"], kept["code_verifier"]]
    for secret in [*secrets, WEB_CLIENT_SECRET, "eyJ"]:
        for place in (out, rows, page):
            assert secret not in place


def signing_key_of_nobody() -> jwt.PyJWK:
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return jwt.PyJWK(jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True), algorithm="RS256")


def test_an_error_report_hides_the_frames_that_hold_secrets(settings: Settings) -> None:
    settings.DEBUG = False
    with pytest.raises(Refused) as caught:
        id_token.verify(
            "hush",
            key=signing_key_of_nobody(),
            audience="",
            issuer="",
            tenant_id="",
            nonce="hush",
        )
    assert caught.tb.tb_next  # this test's own frame holds the secrets too

    reporter = ExceptionReporter(None, caught.type, caught.value, caught.tb.tb_next)

    assert "hush" not in reporter.get_traceback_text() + reporter.get_traceback_html()


def test_what_nobody_thought_of_is_a_page_without_an_error_report(
    journey: Journey, settings: Settings
) -> None:
    answer = journey.pick("ada")
    settings.ENTRA_GROUPS_MAX_AGE = "not a duration"

    response = journey.call_back(**answer)

    assert response.status_code == 503
    assert refusals() == ["internal"]
    assert not journey.is_signed_in


def test_a_logged_request_shows_no_code() -> None:
    request = RequestFactory().get("/oidc/callback/?code=hush&state=hush")

    event = without_secrets(None, "info", {"request": request, "details": [{"token": "hush"}]})

    assert "hush" not in str(event)
