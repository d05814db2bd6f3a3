"""Why somebody may do what they may: in the admin and by command; and the sessions they have."""

import json
from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.claims import has_group_overage
from accounts.explanation import explain_user
from accounts.levels import PermissionLevel
from accounts.mappings import create_mapping
from accounts.models import AuditEvent, User
from sandbox.entra.directory import GROUP_ANALYST
from sandbox.entra.faults import Endpoints
from tests.accounts.journey import Journey
from tests.people import GROUPS, new_person, sign_in_as
from tests.sandbox.entra_fixtures import Entra

pytestmark = pytest.mark.django_db

VIEWER, ANALYST, ADMIN = PermissionLevel


def told(*arguments: str) -> str:
    out = StringIO()
    call_command("explain_user", *arguments, stdout=out)
    return out.getvalue()


def page_of(client: Client, person: User) -> str:
    response = client.get(f"/admin/accounts/user/{person.pk}/explain/")
    assert response.status_code == 200
    return response.content.decode()


def test_a_sign_in_leaves_its_claims_for_the_explanation(journey: Journey) -> None:
    create_mapping(group_oid=uuid4(), level=ADMIN, scope=["x"])
    create_mapping(group_oid=GROUP_ANALYST, level=ANALYST, display_name="FinOps", scope=["a"])  # type: ignore[arg-type]
    journey.sign_in("ben")
    ben = User.objects.get()

    found = json.loads(told(str(ben.oid), "--json"))
    assert found["claims"]["preferred_username"]
    assert found["claims"]["group_overage"] is False
    assert [match["name"] for match in found["matches"]] == ["FinOps"]
    assert (found["level"], found["holds"]) == ("ANALYST", ["Analyst: a"])
    assert found["age_seconds"] < 60
    assert told(found["claims"]["preferred_username"]) == told("{" + str(ben.oid).upper() + "}")


def test_the_page_shows_facts_rules_and_the_outcome(client: Client) -> None:
    sign_in_as(client, ADMIN)
    ben = new_person(ANALYST, name="<Ben>")
    ben.claims = {"name": "<Ben>", "group_overage": True}
    ben.group_oids += [str(uuid4())]
    ben.save()

    page = page_of(client, ben)
    for text in (str(GROUPS[ANALYST]), "Analyst: all sub accounts", "2 groups", "overage"):
        assert text in page
    assert "<Ben>" not in page


def test_an_expired_mapping_is_shown_as_such() -> None:
    person = new_person(None)
    group = create_mapping(
        group_oid=uuid4(), level=ADMIN, expires_on=timezone.now().date(), display_name="Old"
    )
    person.group_oids = [str(group.group_oid)]
    person.save()

    found = explain_user(person)
    assert [(match.name, match.counts) for match in found.matches] == [("Old", False)]
    assert found.level == "VIEWER"
    assert "(expired on" in told(str(person.oid))


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"is_active": False}, "Locked out here"),
        ({"groups_fetched_at": None}, "Graph has never told"),
        ({"groups_fetched_at": timezone.now() - timedelta(hours=1)}, "older than"),
        ({"group_oids": []}, "No group is mapped: a VIEWER"),
        ({"claims": {"group_overage": True}}, "left its groups out"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_unusual_is_said(change: dict[str, object], note: str) -> None:
    person = new_person(VIEWER)
    User.objects.filter(pk=person.pk).update(**change)

    assert note in told(str(person.oid))


def test_who_has_no_access_is_told_so(settings: Settings) -> None:
    settings.ENTRA_REQUIRE_MAPPED_GROUP = True

    assert "no access" in told(str(new_person(None).oid))


@pytest.mark.parametrize(
    "text", ["nobody@nordwind.example", "5a1d33a0-563b-4d69-814f-1aa03215c5cd"]
)
def test_who_is_not_known_is_not_explained(text: str) -> None:
    with pytest.raises(CommandError, match="first sign-in"):
        told(text)


def test_groups_are_asked_again_on_demand(journey: Journey, entra: Entra, client: Client) -> None:
    journey.sign_in("ben")
    ben = User.objects.get()
    entra.control.change_person("ben", groups=[])

    assert "Graph told 0 groups just now" in told(str(ben.oid), "--refresh")
    entra.control.fail(Endpoints.GRAPH, times=None, status=500)
    assert "Graph did not tell" in told(str(ben.oid), "--refresh")
    sign_in_as(client, ADMIN)
    client.post(f"/admin/accounts/user/{ben.pk}/refresh/")
    assert User.objects.get(pk=ben.pk).group_oids == []


@pytest.mark.parametrize(
    ("payload", "overage"),
    [
        ({}, False),
        ({"groups": ["a"]}, False),
        ({"hasgroups": True}, True),
        ({"hasgroups": "true"}, True),
        ({"_claim_names": {"groups": "src1"}}, True),
        ({"_claim_names": {"other": "src1"}}, False),
        ({"_claim_names": "groups"}, False),
    ],
)
def test_group_overage_is_recognised(payload: dict[str, object], overage: bool) -> None:
    assert has_group_overage(payload) is overage


# --- sessions ---------------------------------------------------------------------------------


def test_the_sessions_of_a_person_are_listed_and_ended(client: Client) -> None:
    cleo, elsewhere, third = Client(), Client(), Client()
    person = sign_in_as(cleo, VIEWER)
    elsewhere.force_login(person, backend="accounts.oidc.EntraBackend")
    sign_in_as(third, VIEWER)
    admin = sign_in_as(client, ADMIN)

    page = page_of(client, person)
    assert "End all sessions" in page
    assert (cleo.session.session_key or "?") not in page
    client.post(f"/admin/accounts/user/{person.pk}/end/")

    for browser in (cleo, elsewhere):
        assert browser.get("/freshness/").status_code == 302
    assert third.get("/freshness/").status_code == 200
    event = AuditEvent.objects.get(kind=AuditEvent.Kind.SESSIONS_CLOSED)
    assert (event.user_oid, event.details) == (str(admin.oid), {"sessions": 2})


def test_a_link_ends_no_session(client: Client) -> None:
    cleo = Client()
    person = sign_in_as(cleo, VIEWER)
    sign_in_as(client, ADMIN)

    client.get(f"/admin/accounts/user/{person.pk}/end/")
    assert cleo.get("/freshness/").status_code == 200
