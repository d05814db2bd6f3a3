"""Signing out: here, and at Entra."""

import pytest
from django.test import Client

from accounts.models import AuditEvent
from sandbox.entra.directory import PEOPLE
from sandbox.entra.faults import Endpoints
from tests.accounts.conftest import forget
from tests.accounts.journey import Journey, query_of
from tests.sandbox.entra_fixtures import Entra

pytestmark = pytest.mark.django_db


def test_signing_out_ends_both_sessions(journey: Journey, client: Client, entra: Entra) -> None:
    journey.sign_in("ada")

    response = client.post("/oidc/logout/")

    assert not journey.is_signed_in
    location = response["Location"]
    assert location.startswith(f"{entra.addresses.logout}?")
    assert query_of(location)["post_logout_redirect_uri"] == "http://localhost:8000/signed-out/"
    assert query_of(location)["logout_hint"]
    at_entra = journey.elsewhere.get(location, allow_redirects=False, timeout=10)
    assert at_entra.headers["Location"] == "http://localhost:8000/signed-out/"
    event = AuditEvent.objects.get(kind=AuditEvent.Kind.SIGNED_OUT)
    assert (event.user_name, event.user_oid) == (PEOPLE["ada"].email, PEOPLE["ada"].oid)


def test_signing_out_works_while_entra_is_down(
    journey: Journey, client: Client, entra: Entra
) -> None:
    journey.sign_in("ada")
    forget()
    entra.control.fail(Endpoints.DISCOVERY, times=None)

    assert client.post("/oidc/logout/")["Location"] == "/signed-out/"
    assert not journey.is_signed_in


def test_a_link_signs_nobody_out(journey: Journey, client: Client) -> None:
    journey.sign_in("ada")

    assert client.get("/oidc/logout/").status_code == 405
    assert journey.is_signed_in


def test_another_sites_form_signs_nobody_out(journey: Journey) -> None:
    journey.sign_in("ada")
    careful = Client(enforce_csrf_checks=True)
    careful.cookies = journey.client.cookies

    response = careful.post("/oidc/logout/")

    assert response.status_code == 403
    assert b"form_stale" in response.content
    assert journey.is_signed_in


def test_signing_out_twice_is_no_error(client: Client) -> None:
    assert client.post("/oidc/logout/")["Location"] == "/signed-out/"
    assert client.get("/signed-out/").status_code == 200
