"""Every URL of the project says who may open it, and anonymous people meet no other page."""

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.guard import PUBLIC, access_of

# Whoever opens another page to everybody adds it here, and says so in the review.
OPEN = {
    "admin/login/",
    "sign-in/",
    "signed-out/",
    "oidc/authenticate/",
    "oidc/callback/",
    "oidc/logout/",
    "oidc/front-channel-logout/",
    "healthz",
}


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


@pytest.mark.parametrize(
    ("pattern", "app_name"), [pytest.param(p, app, id=address) for address, p, app in ALL]
)
def test_every_url_says_who_may_open_it(pattern: URLPattern, app_name: str) -> None:
    assert access_of(pattern.callback, app_name) is not None


def test_what_is_open_is_known() -> None:
    found = {address for address, p, app in ALL if access_of(p.callback, app) is PUBLIC}

    assert found == OPEN


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address",
    [a for a, *_ in ALL if a not in OPEN and "<" not in a and "(" not in a],  # no parameters
)
def test_anonymous_people_are_led_to_the_sign_in_page(client: Client, address: str) -> None:
    response = client.get(f"/{address}")

    assert response.status_code == 302
    assert response["Location"].startswith("/sign-in/")
