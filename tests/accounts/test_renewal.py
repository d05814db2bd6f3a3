"""A session follows its ID token: renewed without a question, or ended."""

import time

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import AuditEvent, User
from accounts.renewal import TOKEN_ENDS_KEY
from sandbox.entra.directory import PEOPLE
from tests.accounts.journey import Journey, query_of, refusals
from tests.sandbox.entra_fixtures import Entra

pytestmark = pytest.mark.django_db

PAGE = "/signed-in-again/"


def expire(client: Client, *, seconds_ago: float = 1.0) -> None:
    session = client.session
    session[TOKEN_ENDS_KEY] = time.time() - seconds_ago
    session.save()


def follow(journey: Journey, location: str) -> str:
    """Through our authenticate and Entra; the answer is where Entra sends the browser."""
    at_entra = journey.client.get(location)["Location"]
    answer = journey.elsewhere.get(at_entra, allow_redirects=False, timeout=10)
    return answer.headers["Location"]


@pytest.fixture
def signed_in(journey: Journey) -> Journey:
    journey.sign_in("ben")
    return journey


def test_a_page_after_the_tokens_end_is_fetched_by_way_of_entra(
    signed_in: Journey, client: Client
) -> None:
    ends, key = client.session.get_expiry_date(), client.session.session_key
    expire(client)

    away = client.get(f"{PAGE}?a=b")
    assert (
        away["Location"] == f"/oidc/authenticate/?silent=1&next={PAGE.replace('/', '%2F')}%3Fa%3Db"
    )
    query = query_of(client.get(away["Location"])["Location"])
    assert query["prompt"] == "none"
    assert query["login_hint"]
    back = signed_in.call_back(**query_of(follow(signed_in, away["Location"])))

    assert back["Location"] == f"{PAGE}?a=b"
    assert client.get(PAGE).status_code == 200
    assert client.session[TOKEN_ENDS_KEY] > time.time()
    assert client.session.get_expiry_date() == ends  # the absolute end stays
    assert client.session.session_key == key
    methods = [
        e.details["method"] for e in AuditEvent.objects.filter(kind="signed_in").order_by("pk")
    ]
    assert methods == ["entra", "silent"]


def test_who_may_not_sign_in_any_more_ends_on_the_sign_in_page(
    signed_in: Journey, client: Client, entra: Entra
) -> None:
    entra.control.revoke_sessions("ben")
    expire(client)

    answer = query_of(follow(signed_in, client.get(PAGE)["Location"]))
    assert answer["error"] == "login_required"
    back = signed_in.call_back(**answer)

    assert back["Location"] == f"/sign-in/?next={PAGE.replace('/', '%2F')}"
    assert client.get(back["Location"]).status_code == 200  # no way round again
    assert not signed_in.is_signed_in
    event = AuditEvent.objects.get(kind=AuditEvent.Kind.SESSION_ENDED)
    assert (event.reason, event.user_oid) == ("session_expired", PEOPLE["ben"].oid)
    assert refusals() == []


@pytest.mark.parametrize("error", ["interaction_required", "consent_required", "access_denied"])
def test_each_refusal_to_renew_ends_the_session(
    signed_in: Journey, client: Client, error: str
) -> None:
    expire(client)
    state = query_of(client.get(client.get(PAGE)["Location"])["Location"])["state"]

    assert signed_in.call_back(state=state, error=error)["Location"].startswith("/sign-in/")
    assert not signed_in.is_signed_in


def test_a_busy_entra_is_a_page_and_ends_nothing(signed_in: Journey, client: Client) -> None:
    expire(client)
    state = query_of(client.get(client.get(PAGE)["Location"])["Location"])["state"]

    assert signed_in.call_back(state=state, error="temporarily_unavailable").status_code == 503
    assert signed_in.is_signed_in


def test_another_person_does_not_slip_into_the_session(
    signed_in: Journey, client: Client, entra: Entra
) -> None:
    expire(client)
    entra.control.queue_id_token(claims={"oid": PEOPLE["ada"].oid})

    back = signed_in.call_back(**query_of(follow(signed_in, client.get(PAGE)["Location"])))

    assert back["Location"].startswith("/sign-in/")
    assert not signed_in.is_signed_in


def test_a_link_to_a_silent_renewal_ends_no_good_session(
    signed_in: Journey, client: Client
) -> None:
    response = client.get("/oidc/authenticate/?silent=1&next=/signed-in-again/")

    assert response["Location"] == PAGE
    assert signed_in.is_signed_in


def test_a_token_at_its_end_does_not_lead_round_in_circles(
    journey: Journey, client: Client, entra: Entra
) -> None:
    entra.control.queue_id_token(claims={"exp": int(time.time()) - 30})  # within the leeway

    journey.sign_in("ben")

    assert client.get(PAGE).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"HX-Request": "true"}, {"Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Mode": "no-cors"}]
)
def test_a_part_of_a_page_overruns_and_then_gets_401(
    signed_in: Journey, client: Client, headers: dict[str, str], settings: Settings
) -> None:
    expire(client)
    assert client.get(PAGE, headers=headers).status_code == 200

    expire(client, seconds_ago=settings.ENTRA_TOKEN_OVERRUN.total_seconds() + 1)
    response = client.get(PAGE, headers={**headers, "HX-Current-URL": "http://x/costs/?a=b"})

    assert response.status_code == 401
    assert response["HX-Redirect"] == "/sign-in/?next=%2Fcosts%2F%3Fa%3Db"
    assert signed_in.is_signed_in


def test_the_sign_in_page_renews_who_has_a_session(signed_in: Journey, client: Client) -> None:
    expire(client)

    there = client.get(f"/sign-in/?next={PAGE}")["Location"]

    assert client.get(there)["Location"].startswith("/oidc/authenticate/?silent=1")


def test_a_session_without_an_end_of_its_token_has_none_left(
    signed_in: Journey, client: Client
) -> None:
    session = client.session
    del session[TOKEN_ENDS_KEY]
    session.save()

    assert client.get(PAGE).status_code == 302
    assert client.post(PAGE).status_code == 401


def test_a_renewal_keeps_forms_of_other_tabs_good(signed_in: Journey, client: Client) -> None:
    client.get("/oidc/authenticate/")
    client.post("/admin/")  # a refusal page with a form, and so with a token
    before = client.cookies["csrftoken"].value
    expire(client)
    signed_in.call_back(**query_of(follow(signed_in, client.get(PAGE)["Location"])))
    signed_in.sign_in("ben")

    assert client.cookies["csrftoken"].value == before
    signed_in.sign_in("ada")
    assert client.cookies["csrftoken"].value != before
    assert User.objects.count() == 2
