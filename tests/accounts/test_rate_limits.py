"""Whoever knocks too often waits; whoever knocks once leaves nothing behind."""

import time
from ipaddress import IPv6Address
from types import SimpleNamespace

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.cache.backends.redis import RedisCache
from django.http import HttpRequest
from django.test import Client, RequestFactory
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from accounts import rate_limits
from accounts.addresses import client_address, network_of
from accounts.breakglass import MAX_ATTEMPTS_PER_MINUTE
from accounts.models import AuditEvent, User
from tests.accounts.journey import CALLBACK, Journey
from tests.conftest import free_port
from tests.sandbox.entra_fixtures import Entra

pytestmark = pytest.mark.django_db


@pytest.fixture
def _a_limit_of_three(settings: Settings) -> None:
    settings.SIGN_IN_RATE_PER_ADDRESS = 3


@pytest.mark.usefixtures("_a_limit_of_three")
@pytest.mark.parametrize("path", [CALLBACK, "/oidc/authenticate/"])
def test_an_address_waits_after_too_many(entra: Entra, path: str) -> None:
    statuses = [Client().get(path, {"n": n}).status_code for n in range(5)]

    assert statuses[3:] == [429, 429]
    assert 429 not in statuses[:3]
    response = Client().get(path)
    assert response["Retry-After"] == "60"
    assert b"rate_limited" in response.content
    assert Client().get(path, REMOTE_ADDR="198.51.100.7").status_code != 429


@pytest.mark.usefixtures("_a_limit_of_three")
def test_a_flood_leaves_neither_sessions_nor_rows(entra: Entra) -> None:
    for _ in range(10):
        Client().get("/oidc/authenticate/")
        Client().get(CALLBACK)

    assert Session.objects.count() == 3
    assert AuditEvent.objects.count() == 3


def test_a_session_waits_after_too_many(
    journey: Journey, client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SIGN_IN_RATE_PER_ADDRESS = 1000
    monkeypatch.setattr(rate_limits, "PER_SESSION", 2)
    client.get("/oidc/authenticate/")

    statuses = [client.get("/oidc/authenticate/").status_code for _ in range(3)]

    assert statuses == [302, 302, 429]
    assert Client().get("/oidc/authenticate/").status_code == 302


def test_a_minute_after_the_first_request_a_new_one_begins(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SIGN_IN_RATE_PER_ADDRESS = 1
    now = time.time()
    monkeypatch.setattr("django.core.cache.backends.locmem.time", SimpleNamespace(time=lambda: now))
    assert [Client().get(CALLBACK).status_code for _ in range(2)] == [400, 429]

    now += rate_limits.WINDOW + 1
    assert Client().get(CALLBACK).status_code == 400


def test_a_redis_that_is_down_stops_nobody(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SIGN_IN_RATE_PER_ADDRESS = 1
    down = RedisCache(f"redis://127.0.0.1:{free_port()}/0", {})
    monkeypatch.setattr(rate_limits, "caches", {"limits": down})

    assert [Client().get(CALLBACK).status_code for _ in range(3)] == [400, 400, 400]


def test_guesses_at_once_do_not_slip_through(settings: Settings) -> None:
    settings.BREAK_GLASS_SIGN_IN = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    User.objects.create_superuser("root", "", "correct horse battery")
    # As many that have not been answered yet, so that no failure is on record.
    knocks = [
        rate_limits.is_within("break-glass", knock(), per_address=MAX_ATTEMPTS_PER_MINUTE)
        for _ in range(MAX_ATTEMPTS_PER_MINUTE + 1)
    ]

    assert knocks == [True] * MAX_ATTEMPTS_PER_MINUTE + [False]
    client = Client()
    client.post("/admin/login/", {"username": "root", "password": "correct horse battery"})
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize(
    "path", ["/sign-in/", "/signed-out/", CALLBACK, f"{CALLBACK}?state=x", "/"]
)
def test_a_visit_leaves_no_session(client: Client, path: str) -> None:
    client.get(path)

    assert not Session.objects.exists()


def test_an_attempt_that_is_not_finished_leaves_in_minutes(
    journey: Journey, client: Client
) -> None:
    journey.start()

    assert client.session.get_expiry_age() <= 600


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "198.51.100.1", "127.0.0.1"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        (2, "198.51.100.1", "127.0.0.1"),
        (1, "not an address", None),
        (1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_only_our_own_proxies_say_where_somebody_comes_from(
    settings: Settings, proxies: int, forwarded: str, address: str | None
) -> None:
    settings.TRUSTED_PROXY_COUNT = proxies
    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded})

    assert client_address(request) == address


def test_a_record_does_not_believe_what_a_visitor_writes(client: Client) -> None:
    client.get(CALLBACK, headers={"X-Forwarded-For": "198.51.100.66"})

    assert AuditEvent.objects.get().ip == "127.0.0.1"


@given(address=st.ip_addresses(v=6), last=st.integers(0, 2**64 - 1))
def test_one_network_is_one_visitor(address: object, last: int) -> None:
    first = IPv6Address(str(address))
    other = IPv6Address((int(first) >> 64 << 64) + last)
    if first.ipv4_mapped is None and other.ipv4_mapped is None:
        assert network_of(str(first)) == network_of(str(other))


def knock() -> HttpRequest:
    request = RequestFactory().post("/admin/login/")
    request.session = SessionStore()
    return request
