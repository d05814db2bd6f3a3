"""Somebody signs out at Entra, and is signed out here too; nobody else can do that to them."""

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import session_index
from accounts.models import AuditEvent
from accounts.session_index import EntraSession
from accounts.tasks import clear_sessions
from sandbox.entra.directory import PEOPLE
from tests.accounts.journey import Journey
from tests.sandbox.entra_fixtures import Entra

pytestmark = pytest.mark.django_db

PATH = "/oidc/front-channel-logout/"


@pytest.fixture
def sid(journey: Journey, client: Client) -> str:
    """Entra's name for the session of somebody who has just signed in."""
    journey.sign_in("ben")
    return str(client.session["entra_sid"])


def test_a_sign_out_at_entra_ends_the_session_here(
    journey: Journey, sid: str, entra: Entra
) -> None:
    site = "http://testserver"
    entra.control.register(front_channel_url=f"{site}{PATH}")
    page = journey.elsewhere.get(entra.addresses.logout, timeout=10).text

    assert f'src="{site}{PATH}?sid={sid}"' in page
    response = Client().get(PATH, {"sid": sid})

    assert response.status_code == 200
    assert not journey.is_signed_in
    event = AuditEvent.objects.get(kind=AuditEvent.Kind.SESSION_ENDED)
    assert (event.reason, event.user_oid) == ("signed_out_at_entra", PEOPLE["ben"].oid)
    assert not EntraSession.objects.exists()


def test_every_session_of_that_sign_in_ends_and_no_other(
    journey: Journey, sid: str, settings: Settings
) -> None:
    second, other = Client(), Client()
    Journey(second, journey.elsewhere).sign_in("ben")
    second_sid = second.session["entra_sid"]
    Journey(other, journey.elsewhere).sign_in("cleo")

    Client().get(PATH, {"sid": second_sid})

    assert "_auth_user_id" not in second.session
    assert "_auth_user_id" in other.session
    assert journey.is_signed_in is (second_sid != sid)


@pytest.mark.parametrize(
    "query", [{}, {"sid": ""}, {"sid": "unknown"}, {"sid": "x" * 1000}, {"sid": "\x00"}]
)
def test_the_answer_is_the_same_whatever_it_does(
    journey: Journey, sid: str, query: dict[str, str]
) -> None:
    idle = Client().get(PATH, query)
    assert EntraSession.objects.exists()
    ending = Client().get(PATH, {"sid": sid})
    again = Client().get(PATH, {"sid": sid})

    assert not journey.is_signed_in
    assert idle.content == ending.content == again.content
    assert idle.status_code == ending.status_code == again.status_code == 200
    headers = [dict(answer.headers) for answer in (idle, ending)]
    for one in headers:
        del one["Expires"]  # the moment of the answer
    assert headers[0] == headers[1]
    assert AuditEvent.objects.filter(kind=AuditEvent.Kind.SESSION_ENDED).count() == 1


def test_another_issuers_sign_out_ends_nothing(journey: Journey, sid: str, entra: Entra) -> None:
    Client().get(PATH, {"sid": sid, "iss": "https://login.microsoftonline.com/x/v2.0"})
    assert EntraSession.objects.exists()

    Client().get(PATH, {"sid": sid, "iss": entra.addresses.issuer})
    assert not journey.is_signed_in


def test_only_entra_may_frame_it_and_only_it(client: Client, settings: Settings) -> None:
    settings.SIGN_IN_FORM_HOSTS = ["http://localhost:5"]
    framed, page = client.get(PATH), client.get("/sign-in/")

    assert "X-Frame-Options" not in framed
    policy = framed["Content-Security-Policy"]
    assert policy.endswith(f"frame-ancestors {settings.ENTRA_AUTHORITY_HOST} http://localhost:5")
    assert page["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in page["Content-Security-Policy"]
    assert "Set-Cookie" not in framed.headers
    assert not framed.cookies


def test_a_flood_ends_nothing_and_is_told_nothing(
    journey: Journey, sid: str, settings: Settings
) -> None:
    settings.SIGN_IN_RATE_PER_ADDRESS = 2
    answers = [Client().get(PATH, {"sid": f"guess-{n}"}) for n in range(2)]

    late = Client().get(PATH, {"sid": sid})

    assert late.content == answers[0].content
    assert late.status_code == 200
    assert journey.is_signed_in


def test_posts_are_not_taken(client: Client) -> None:
    assert client.post(PATH, {"sid": "x"}).status_code == 405


def test_signing_out_or_in_again_leaves_no_entry_behind(
    journey: Journey, sid: str, client: Client
) -> None:
    journey.sign_in("ben")
    assert EntraSession.objects.get().session_key == client.session.session_key
    client.post("/oidc/logout/")
    assert not EntraSession.objects.exists()


def test_entries_of_sessions_that_are_gone_are_tidied(journey: Journey, sid: str) -> None:
    assert session_index.tidy() == 0
    Session.objects.all().delete()
    assert session_index.tidy() == 1


def test_an_entry_does_not_tell_the_sid(sid: str) -> None:
    entry = EntraSession.objects.get()

    assert sid not in (entry.sid_digest, str(entry))


def test_the_schedule_clears_what_has_ended(journey: Journey, sid: str) -> None:
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))

    clear_sessions()

    assert not Session.objects.exists()
    assert not EntraSession.objects.exists()
    tasks = {entry["task"] for entry in django_settings.CELERY_BEAT_SCHEDULE.values()}
    assert "accounts.tasks.clear_sessions" in tasks
