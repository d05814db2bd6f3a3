"""Whatever fails on the way is a page with a reason, and signs nobody in or out."""

import time

import pytest
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.models import UsedState, User
from sandbox.entra.faults import Endpoints, FaultKind
from tests.accounts.journey import CALLBACK, Journey, query_of, refusals
from tests.sandbox.entra_fixtures import Entra

pytestmark = pytest.mark.django_db


def test_a_password_form_with_a_code_does_not_sign_in_with_entra(
    journey: Journey, client: Client, settings: Settings
) -> None:
    settings.BREAK_GLASS_SIGN_IN = True
    victim = User.objects.create_superuser("root", "", "correct horse battery")
    code = journey.pick("ada")["code"]

    client.post(
        f"/admin/login/?code={code}&state=x&next=/admin/",
        {"username": "root", "password": "correct horse battery"},
    )

    assert client.session["_auth_user_id"] == str(victim.pk)
    assert User.objects.count() == 1


def test_used_states_are_forgotten_in_time(journey: Journey) -> None:
    journey.sign_in("ada")
    UsedState.objects.update(used_at="2020-01-01T00:00:00Z")
    journey.sign_in("ben")

    assert UsedState.objects.count() == 1


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        ("access_denied", 403, "entra_declined"),
        ("consent_required", 403, "entra_consent"),
        ("login_required", 403, "entra_interaction"),
        ("temporarily_unavailable", 503, "entra_busy"),
        ("<script>alert(1)</script>", 400, "entra_error"),
    ],
)
def test_errors_of_entra_have_pages_of_their_own(
    journey: Journey, error: str, status: int, reason: str
) -> None:
    state = query_of(journey.start())["state"]

    response = journey.call_back(
        state=state, error=error, error_description="<b>AADSTS50105</b> for ada@nordwind"
    )

    assert response.status_code == status
    assert refusals() == [reason]
    assert b"AADSTS50105" not in response.content
    assert b"<script>" not in response.content


@pytest.mark.parametrize("endpoint", [Endpoints.TOKEN, Endpoints.KEYS])
@pytest.mark.parametrize("kind", [FaultKind.STATUS, FaultKind.MALFORMED, FaultKind.DROPPED])
def test_an_entra_that_fails_is_a_page(
    journey: Journey, entra: Entra, endpoint: Endpoints, kind: FaultKind
) -> None:
    answer = journey.pick("ada")
    entra.control.fail(endpoint, kind, times=None)

    response = journey.call_back(**answer)

    assert response.status_code in {403, 503}
    assert len(refusals()) == 1
    assert not User.objects.exists()


def test_a_slow_entra_is_given_up_in_time(
    journey: Journey, entra: Entra, settings: Settings
) -> None:
    settings.ENTRA_TIMEOUT = 0.3
    answer = journey.pick("ada")
    entra.control.fail(Endpoints.TOKEN, FaultKind.SLOW, seconds=2.0)

    started = time.monotonic()
    response = journey.call_back(**answer)

    assert response.status_code == 503
    assert time.monotonic() - started < 1.5
    assert refusals() == ["entra_unreachable"]


def test_a_wrong_secret_is_for_the_administrator(journey: Journey, settings: Settings) -> None:
    answer = journey.pick("ada")
    settings.ENTRA_CLIENT_SECRET = "wrong"

    assert journey.call_back(**answer).status_code == 503
    assert refusals() == ["client_refused"]


def test_a_missing_setting_is_a_page(journey: Journey, settings: Settings) -> None:
    answer = journey.pick("ada")
    settings.ENTRA_CLIENT_SECRET = ""

    assert journey.call_back(**answer).status_code == 503
    assert refusals() == ["configuration"]


def test_a_deactivated_person_cannot_come_back(journey: Journey, client: Client) -> None:
    journey.sign_in("ada")
    User.objects.update(is_active=False)

    assert client.get("/admin/").status_code == 302
    assert journey.sign_in("ada").status_code == 403
    assert refusals() == ["account_inactive"]


@hypothesis_settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.dictionaries(
        st.sampled_from(["code", "state", "error", "error_description", "session_state"]),
        st.text(max_size=300),
        max_size=4,
    )
)
def test_no_callback_is_a_server_error(client: Client, query: dict[str, str]) -> None:
    response = client.get(CALLBACK, query)

    assert response.status_code == 400
    assert "_auth_user_id" not in client.session


def test_only_get_comes_back(client: Client) -> None:
    assert client.post(CALLBACK, {"code": "x"}).status_code == 405
