"""A form whose session has ended: nothing that was typed is lost, and nothing is given away."""

import re
from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from accounts import resending
from accounts.guard import GuardedRequest, require_permission
from accounts.levels import PermissionLevel
from finops.urls import urlpatterns as project_urls
from tests.accounts.journey import Journey

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.accounts.test_form_kept")]


@require_permission(PermissionLevel.VIEWER)
def note(request: GuardedRequest) -> HttpResponse:
    return HttpResponse("|".join(request.POST.getlist("note")))


urlpatterns = [path("note/", note), *project_urls]

TYPED = ['<b>"quoted"</b> & more', "second\r\nline"]


@pytest.fixture
def careful(journey: Journey) -> Client:
    """A browser that has a form open, whose session has ended meanwhile."""
    journey.client = Client(enforce_csrf_checks=True)
    journey.sign_in("ben")
    journey.client.get("/admin/")
    journey.client.session.flush()
    return journey.client


def send(client: Client, **fields: object) -> HttpResponse:
    token = client.cookies["csrftoken"].value
    response = client.post("/note/?a=b", {"csrfmiddlewaretoken": token, **fields})
    assert isinstance(response, HttpResponse)
    return response


def fields_of(page: str) -> list[tuple[str, str]]:
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return [(unescape(name), unescape(value)) for name, value in found]


def test_what_was_typed_is_offered_again_and_counts_after_the_sign_in(
    journey: Journey, careful: Client
) -> None:
    response = send(careful, note=TYPED)

    page = response.content.decode()
    assert response.status_code == 401
    assert "<b>" not in page
    fields = fields_of(page)
    assert [value for name, value in fields if name == "note"] == TYPED
    assert 'action="/note/?a=b"' in page
    assert response["Cache-Control"] == "no-store"

    journey.sign_in("ben")  # in another tab
    again: dict[str, list[str]] = {}
    for name, value in fields:
        again.setdefault(name, []).append(value)
    assert careful.post("/note/?a=b", again).content.decode() == "|".join(TYPED)


def test_without_the_page_a_sign_in_changes_the_csrf_secret(
    journey: Journey, careful: Client
) -> None:
    before = careful.cookies["csrftoken"].value
    journey.sign_in("ben")

    assert careful.cookies["csrftoken"].value != before


def test_a_page_of_another_browser_keeps_no_secret(journey: Journey, careful: Client) -> None:
    send(careful, note="x")
    elsewhere = Client(enforce_csrf_checks=True)
    elsewhere.get("/admin/login/")
    careful.cookies["csrftoken"] = "a" * 32  # not the one that the page was shown with
    journey.sign_in("ben")

    assert careful.cookies["csrftoken"].value != "a" * 32


def test_another_sites_form_is_offered_to_nobody(careful: Client) -> None:
    response = careful.post("/note/", {"note": "an attacker's words"})

    assert response.status_code == 403
    assert b"attacker" not in response.content


@pytest.mark.parametrize("name", ["password", "client_secret", "access_token", "Passphrase"])
def test_secrets_are_not_offered(careful: Client, name: str) -> None:
    page = send(careful, note="x", **{name: "hush"}).content.decode()

    assert "hush" not in page
    assert "Files and passwords are not kept" in page


def test_files_are_not_offered(careful: Client) -> None:
    page = send(careful, note="x", file=SimpleUploadedFile("a.txt", b"content")).content

    assert b"Files and passwords are not kept" in page
    assert b"Send it again" not in page


def test_a_huge_form_is_not_offered(careful: Client) -> None:
    page = send(careful, note="x" * (resending.MAX_CHARACTERS + 1)).content

    assert b"Send it again" not in page


def test_the_page_leads_to_a_tab_of_its_own(journey: Journey, careful: Client) -> None:
    page = send(careful, note="x").content.decode()

    assert (
        'href="/oidc/authenticate/?next=/signed-in-again/" target="_blank" rel="noopener"' in page
    )
    assert journey.sign_in("ben", "/signed-in-again/")["Location"] == "/signed-in-again/"
    assert b"Close this tab" in careful.get("/signed-in-again/").content
