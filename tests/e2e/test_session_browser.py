"""A session in a real browser: renewed, ended in the middle of a form, left, and switched."""

import os
import re
import time
from collections.abc import Iterator
from uuid import UUID

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.levels import PermissionLevel
from accounts.mappings import create_mapping
from accounts.models import AuditEvent, GroupMapping
from accounts.renewal import TOKEN_ENDS_KEY
from sandbox.entra.directory import GROUP_ADMIN, GROUP_ANALYST
from tests.accounts.conftest import (  # noqa: F401 - fixtures
    _entra_server,
    entra,
)
from tests.e2e.chromium import chromium
from tests.sandbox.entra_fixtures import Entra
from tests.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

FORM = "/admin/accounts/groupmapping/add/"
SIGN_IN = re.compile(r"/sign-in/")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread, in which Django would refuse its database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with chromium() as found:
            yield found
    finally:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def site(live_server: LiveServer, entra: Entra, settings: Settings) -> str:  # noqa: F811
    """The site's address, known to the fake Entra as it is in a deployment."""
    url = str(live_server.url)
    settings.SITE_URL = url
    settings.CSRF_TRUSTED_ORIGINS = [url]
    settings.SIGN_IN_FORM_HOSTS = [entra.addresses.pages]
    directives = dict(settings.CONTENT_SECURITY_POLICY["DIRECTIVES"])
    directives["form-action"] = ["'self'", entra.addresses.pages]
    settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": directives}
    entra.control.register(front_channel_url=f"{url}/oidc/front-channel-logout/")
    create_mapping(group_oid=UUID(GROUP_ADMIN), level=PermissionLevel.ADMIN)
    create_mapping(group_oid=UUID(GROUP_ANALYST), level=PermissionLevel.ANALYST)
    return url


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    context = browser.new_context(base_url=site)
    yield context.new_page()
    context.close()


def sign_in(page: Page, person: str, path: str = "/") -> None:
    page.goto(path)
    page.get_by_role("link", name="Sign in with Microsoft").click()
    page.get_by_role("button", name=person).click()
    page.wait_for_url(f"**{path}")


def expire(*, seconds_ago: float) -> None:
    """Let the token of the one session have expired."""
    store = SessionStore(Session.objects.get().session_key)
    store[TOKEN_ENDS_KEY] = time.time() - seconds_ago
    store.save()


def test_a_session_is_renewed_without_a_question(page: Page) -> None:
    sign_in(page, "Ben Okafor")
    expire(seconds_ago=3600)

    page.goto("/signed-in-again/")

    expect(page.get_by_role("heading", name="You are signed in again")).to_be_visible()
    methods = AuditEvent.objects.filter(kind="signed_in").values_list("details__method", flat=True)
    assert sorted(methods) == ["entra", "silent"]


@pytest.mark.parametrize("javascript", [True, False])
def test_a_form_whose_session_ends_in_the_middle_is_not_lost(
    browser: Browser, site: str, javascript: bool
) -> None:
    context = browser.new_context(base_url=site, java_script_enabled=javascript)
    page = context.new_page()
    sign_in(page, "Ada Lindgren", FORM)
    typed = 'Costs of "A & B" <east>'
    page.locator("[name=group_oid]").fill("6a7a0e57-5a8b-4a11-9a0c-0d6c7b9f2e01")
    page.locator("[name=display_name]").fill("East")
    page.locator("[name=level]").select_option("2")
    page.locator("[name=note]").fill(typed)
    page.wait_for_load_state("networkidle")  # a request on its way would save the session after us
    expire(seconds_ago=3600)

    page.locator("input[type=submit], button[type=submit]").last.click()
    expect(page.get_by_role("heading", name="Please sign in again")).to_be_visible()
    assert GroupMapping.objects.count() == 2
    with context.expect_page() as opened:
        page.get_by_role("link", name="Sign in in a new tab").click()
    expect(opened.value.get_by_role("heading", name="You are signed in again")).to_be_visible()
    opened.value.close()
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.get_by_role("button", name="Send it again").click()
    # As if nothing had happened: the admin has the form as it was typed, and misses the reason.
    expect(page.get_by_text("This field is required.")).to_have_count(1)
    expect(page.locator("[name=note]")).to_have_value(typed)
    expect(page.locator("[name=display_name]")).to_have_value("East")
    context.close()


def test_after_a_sign_out_the_back_button_shows_nothing(page: Page, site: str) -> None:
    sign_in(page, "Ben Okafor")
    expect(page.get_by_text("Ben Okafor").first).to_be_attached()

    page.get_by_role("button", name="Sign out").first.click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    seen = set()
    for _ in range(3):
        page.go_back()
        page.wait_for_load_state()
        if page.url.startswith(site):
            seen.add(page.url)
            assert "Ben Okafor" not in page.content()

    assert seen
    page.goto("/")
    expect(page).to_have_url(SIGN_IN)


def test_a_sign_out_at_entra_is_one_here(page: Page, entra: Entra) -> None:  # noqa: F811
    sign_in(page, "Ben Okafor")

    page.goto(entra.addresses.logout)
    wait_until(lambda: not Session.objects.exists(), timeout=10, what="the session has ended")

    page.goto("/")
    expect(page).to_have_url(SIGN_IN)
    assert AuditEvent.objects.get(kind="session_ended").reason == "signed_out_at_entra"


def test_a_person_who_is_refused_may_come_as_another(page: Page, settings: Settings) -> None:
    settings.ENTRA_REQUIRE_MAPPED_GROUP = True
    page.goto("/")
    page.get_by_role("link", name="Sign in with Microsoft").click()
    page.get_by_role("button", name=re.compile("^Dan ")).click()
    expect(page.get_by_text("no_mapped_group")).to_be_visible()

    page.get_by_role("link", name="Use another account").click()
    page.get_by_role("button", name="Ben Okafor").click()

    page.wait_for_url(f"{settings.SITE_URL}/")
    expect(page.get_by_text("Ben Okafor").first).to_be_attached()
