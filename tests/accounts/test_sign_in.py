"""People of the made-up company sign in, through real HTTP and TLS."""

from uuid import UUID

import pytest
from django.conf import settings as django_settings
from django.test import Client
from pytest_django import Settings

from accounts.levels import PermissionLevel
from accounts.mappings import create_mapping
from accounts.models import AuditEvent, User
from sandbox.entra.client import SignInRefused, pick_person
from sandbox.entra.directory import GROUP_ADMIN, GROUP_ANALYST, GROUP_VIEWER, PEOPLE
from tests.accounts.journey import Journey, query_of
from tests.sandbox.entra_fixtures import Entra

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _mappings() -> None:
    create_mapping(group_oid=UUID(GROUP_ADMIN), level=PermissionLevel.ADMIN)
    create_mapping(group_oid=UUID(GROUP_ANALYST), level=PermissionLevel.ANALYST)
    create_mapping(group_oid=UUID(GROUP_VIEWER), level=PermissionLevel.VIEWER)


@pytest.mark.parametrize(
    ("person", "level"),
    [
        ("ada", "ADMIN"),
        ("ben", "ANALYST"),
        ("cleo", "VIEWER"),
        ("dan", "VIEWER"),  # in no group
        ("eva", "ANALYST"),  # through a group inside a group
        ("finn", "ANALYST"),  # by one of 2,500 groups, on the last page
        ("gus", "VIEWER"),  # a guest
    ],
)
def test_a_person_gets_the_level_of_their_groups(journey: Journey, person: str, level: str) -> None:
    response = journey.sign_in(person, "/costs/?currency=EUR")

    assert (response.status_code, response["Location"]) == (302, "/costs/?currency=EUR")
    user = User.objects.get()
    assert (str(user.tid), str(user.oid)) == (
        django_settings.ENTRA_TENANT_ID,
        PEOPLE[person].oid,
    )
    assert user.display_name == PEOPLE[person].name
    event = AuditEvent.objects.get(kind=AuditEvent.Kind.SIGNED_IN)
    assert event.user_oid == PEOPLE[person].oid
    assert event.details == {"permission": level, "method": "entra"}


def test_every_group_of_2500_is_kept_as_a_fact(journey: Journey) -> None:
    journey.sign_in("finn")

    assert len(User.objects.get().group_oids) == len(set(PEOPLE["finn"].groups)) == 2500


def test_entra_itself_refuses_a_disabled_account(journey: Journey) -> None:
    with pytest.raises(SignInRefused, match="AADSTS50057"):
        journey.sign_in("hal")


def test_an_account_disabled_on_the_way_is_refused(journey: Journey, entra: Entra) -> None:
    answer = journey.pick("ada")
    entra.control.change_person("ada", enabled=False)

    response = journey.call_back(**answer)

    assert response.status_code in {400, 403}
    assert not journey.is_signed_in
    assert not User.objects.exists()


def test_a_second_sign_in_updates_the_same_person(journey: Journey, client: Client) -> None:
    journey.sign_in("ada")
    first = client.session.session_key
    User.objects.update(display_name="An old name", email="old@nordwind.example")

    journey.sign_in("ada")

    assert User.objects.get().email == PEOPLE["ada"].email
    assert client.session.session_key != first


def test_another_person_in_the_same_browser_takes_nothing_over(
    journey: Journey, client: Client
) -> None:
    journey.sign_in("ada")
    client.get("/admin/")
    journey.sign_in("cleo")

    assert client.get("/admin/").status_code == 403
    assert client.session["user_permission"]["user_oid"] == PEOPLE["cleo"].oid


def test_an_address_is_no_identity(journey: Journey) -> None:
    User.objects.create_superuser("root", PEOPLE["cleo"].email, "a long enough password")

    journey.sign_in("cleo")

    assert User.objects.filter(is_superuser=True).get().oid is None
    assert User.objects.get(oid=PEOPLE["cleo"].oid).is_superuser is False


def test_two_tabs_may_try_at_once(journey: Journey) -> None:
    first = journey.start("/first/")
    second = journey.pick("ben", "/second/")
    assert journey.call_back(**second)["Location"] == "/second/"

    answer = query_of(pick_person(journey.elsewhere, first, "ben"))
    assert journey.call_back(**answer)["Location"] == "/first/"


def test_the_request_for_a_code_is_as_careful_as_it_can_be(journey: Journey) -> None:
    query = query_of(journey.start())

    assert query["response_type"] == "code"
    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == 43
    assert len(query["state"]) >= 43
    assert len(query["nonce"]) >= 43
    assert query["redirect_uri"] == "http://localhost:8000/oidc/callback/"


def test_one_may_choose_another_account(journey: Journey, client: Client) -> None:
    location = client.get("/oidc/authenticate/?choose")["Location"]

    assert query_of(location)["prompt"] == "select_account"


def test_a_session_ends_after_eight_hours_however_busy(journey: Journey, client: Client) -> None:
    journey.sign_in("ada")
    session = client.session
    ends = session.get_expiry_date()
    session["something"] = "new"
    session.save()

    assert session.get_expiry_age() <= 8 * 3600
    assert client.session.get_expiry_date() == ends


def test_a_policy_may_shorten_sessions(
    journey: Journey, client: Client, settings: Settings
) -> None:
    settings.SESSION_COOKIE_AGE = 600
    journey.sign_in("ada")

    assert client.session.get_expiry_age() <= 600


@pytest.mark.parametrize(
    "hostile",
    [
        "//evil.example/",
        "/\\evil.example/",
        "https://evil.example/",
        "https:evil.example",
        "///evil.example",
        "javascript:alert(1)",
        "http://testserver/x",
        "/" + "x" * 3000,
    ],
)
def test_no_one_is_led_to_another_site(journey: Journey, client: Client, hostile: str) -> None:
    assert journey.sign_in("cleo", hostile)["Location"] == "/"
    assert client.get("/sign-in/", {"next": hostile})["Location"] == "/"


def test_a_mapped_group_may_be_required(journey: Journey, settings: Settings) -> None:
    settings.ENTRA_REQUIRE_MAPPED_GROUP = True

    response = journey.sign_in("dan")

    assert response.status_code == 403
    assert b"no_mapped_group" in response.content
    assert not journey.is_signed_in
    assert not User.objects.exists()


def test_the_sign_in_page_leads_to_microsoft(client: Client) -> None:
    page = client.get("/sign-in/", {"next": "/costs/"}).content.decode()

    assert "Sign in with Microsoft" in page
    assert "http://localhost:8000/oidc/authenticate/?next=%2Fcosts%2F" in page


def test_guests_may_be_kept_out(journey: Journey, settings: Settings) -> None:
    settings.ALLOW_GUESTS = False

    response = journey.sign_in("gus")

    assert response.status_code == 403
    assert b"<code>guest</code>" in response.content
    assert not User.objects.exists()
    assert journey.sign_in("ada").status_code == 302


@pytest.mark.parametrize(
    "claims",
    [{"acct": 1}, {"acct": "1"}, {"acct": None, "idp": "live.com"}, {"idp": "https://x.invalid/"}],
)
def test_each_mark_of_a_guest_counts(
    journey: Journey, entra: Entra, settings: Settings, claims: dict[str, object]
) -> None:
    settings.ALLOW_GUESTS = False
    entra.control.queue_id_token(claims=claims)

    assert b"<code>guest</code>" in journey.sign_in("ada").content


def test_a_member_is_no_guest_by_naming_the_own_tenant(
    journey: Journey, entra: Entra, settings: Settings
) -> None:
    settings.ALLOW_GUESTS = False
    tenant = f"https://sts.windows.net/{django_settings.ENTRA_TENANT_ID}/"
    entra.control.queue_id_token(claims={"acct": None, "idp": tenant})

    assert journey.sign_in("ada").status_code == 302
