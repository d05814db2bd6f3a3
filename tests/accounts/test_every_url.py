"""Every URL of the project is in the table, and opens to exactly whom the table says."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.guard import PUBLIC, access_of
from accounts.levels import PermissionLevel
from tests.accounts.url_table import ANYBODY, TABLE, classified
from tests.finops.flows import FakeFlow, status
from tests.people import sign_in_as


def urls(
    resolver: URLResolver, prefix: str = "", app_name: str = ""
) -> Iterator[tuple[str, URLPattern, str]]:
    for entry in resolver.url_patterns:
        address = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from urls(entry, address, entry.app_name or app_name)
        else:
            yield address, entry, app_name


ALL = list(urls(get_resolver()))
ADDRESSES = [address for address, *_ in ALL]
CLOSED = [address for address in ADDRESSES if classified(address) is not ANYBODY]


def path_of(address: str) -> str:
    """An address that matches the pattern: 1 in the place of every parameter."""
    if address.startswith("admin/^("):  # the app lists' pattern is a regular expression
        return "/admin/accounts/"
    if address.endswith("(?P<url>.*)$"):
        return "/admin/nowhere"
    return "/" + re.sub(r"<[^>]+>", "1", address)


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_url_has_a_line_in_the_table(address: str) -> None:
    assert classified(address) is not None, f"add {address!r} to tests/accounts/url_table.py"


def test_every_line_of_the_table_is_a_url() -> None:
    lines = {key for key in TABLE if not key.endswith("**")}

    assert lines <= set(ADDRESSES)


@pytest.mark.parametrize(
    ("address", "pattern", "app_name"), [pytest.param(a, p, app, id=a) for a, p, app in ALL]
)
def test_every_view_declares_what_the_table_says(
    address: str, pattern: URLPattern, app_name: str
) -> None:
    declared = access_of(pattern.callback, app_name)

    assert (ANYBODY if declared is PUBLIC else declared) == classified(address)


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("address", CLOSED)
def test_anonymous_people_are_led_to_the_sign_in_page(
    client: Client, address: str, method: str
) -> None:
    response = getattr(client, method)(path_of(address))

    if method == "get":
        assert response.status_code == 302
        assert response["Location"].startswith("/sign-in/")
    else:
        assert response.status_code in {401, 405}
    assert "_auth_user_id" not in client.session


@pytest.mark.django_db
@pytest.mark.parametrize("level", PermissionLevel)
@pytest.mark.parametrize("address", ADDRESSES)
def test_each_level_opens_what_the_table_says(
    client: Client, address: str, level: PermissionLevel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finops.freshness.flow_status", FakeFlow(status()))
    sign_in_as(client, level)
    needed = classified(address)
    response = client.get(path_of(address))

    if isinstance(needed, PermissionLevel) and level < needed:
        assert response.status_code == 403
        assert b"<code>level</code>" in response.content
    else:
        assert response.status_code != 500  # 503 is an answer: no Entra runs here
        # Refused by the guard is what must not be; what nobody may do (add a user) the admin says.
        assert b"<code>level</code>" not in response.content
        assert b"<code>unclassified</code>" not in response.content
