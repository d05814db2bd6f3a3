"""The emergency door: closed by default, for local superusers only, recorded, slow to guess."""

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.breakglass import MAX_FAILURES_PER_ADDRESS
from accounts.models import AuditEvent, User

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
LOGIN = "/admin/login/?next=/admin/"


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", "", PASSWORD)


@pytest.fixture
def _door_is_open(settings: Settings) -> None:
    settings.BREAK_GLASS_SIGN_IN = True
    # Slow hashes make guessing slow, and these tests too.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def enter(client: Client, username: str = "root", password: str = PASSWORD) -> bool:
    client.post(LOGIN, {"username": username, "password": password})
    return "_auth_user_id" in client.session


def test_the_door_is_closed_by_default(client: Client, root: User) -> None:
    assert not enter(client)
    assert client.get(LOGIN).status_code == 302


@pytest.mark.usefixtures("_door_is_open")
def test_a_superuser_comes_in_and_is_recorded(client: Client, root: User) -> None:
    assert enter(client)
    assert client.get("/admin/").status_code == 200
    event = AuditEvent.objects.get()
    assert (event.kind, event.user_name) == ("signed_in", "root")
    assert event.details == {"permission": "ADMIN", "method": "password"}


@pytest.mark.usefixtures("_door_is_open")
def test_the_session_is_short(client: Client, root: User) -> None:
    enter(client)

    assert client.session.get_expiry_age() <= 3600


@pytest.mark.usefixtures("_door_is_open")
def test_closing_the_door_ends_the_sessions_behind_it(
    client: Client, root: User, settings: Settings
) -> None:
    enter(client)
    settings.BREAK_GLASS_SIGN_IN = False

    assert client.get("/admin/").status_code == 302


@pytest.mark.usefixtures("_door_is_open")
@pytest.mark.parametrize("is_staff", [False, True])
def test_other_local_accounts_stay_out(client: Client, is_staff: bool) -> None:
    User.objects.create_user("clerk", password=PASSWORD, is_staff=is_staff)

    assert not enter(client, "clerk")
    assert AuditEvent.objects.get().reason == "password_refused"


@pytest.mark.usefixtures("_door_is_open")
def test_guessing_is_slowed_down(client: Client, root: User) -> None:
    for _attempt in range(MAX_FAILURES_PER_ADDRESS):
        assert not enter(client, password="a wrong guess")

    assert not enter(client)
    assert AuditEvent.objects.count() == MAX_FAILURES_PER_ADDRESS


@pytest.mark.usefixtures("_door_is_open")
def test_a_deactivated_superuser_stays_out(client: Client, root: User) -> None:
    enter(client)
    User.objects.update(is_active=False)

    assert client.get("/admin/").status_code == 302
    assert not enter(Client())


@pytest.mark.usefixtures("_door_is_open")
def test_the_sign_in_page_shows_the_door_only_when_it_is_open(
    client: Client, settings: Settings
) -> None:
    assert b"/admin/login/" in client.get("/sign-in/").content
    settings.BREAK_GLASS_SIGN_IN = False
    assert b"/admin/login/" not in client.get("/sign-in/").content
