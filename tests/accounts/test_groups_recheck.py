"""Groups grow old: they are fetched again, and a failure never keeps an old, higher level."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth import SESSION_KEY
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.levels import PermissionLevel
from accounts.mappings import create_mapping
from accounts.models import AuditEvent, User
from sandbox.entra.directory import GROUP_ADMIN, GROUP_VIEWER
from sandbox.entra.faults import Endpoints
from tests.accounts.journey import Journey
from tests.sandbox.entra_fixtures import Entra

pytestmark = pytest.mark.django_db

ADMIN_PAGE = "/admin/"


@pytest.fixture(autouse=True)
def _ada_is_in(journey: Journey) -> None:
    create_mapping(group_oid=UUID(GROUP_ADMIN), level=PermissionLevel.ADMIN)
    journey.sign_in("ada")


def grow_old() -> None:
    User.objects.update(groups_fetched_at=timezone.now() - timedelta(minutes=16))


def test_fresh_groups_are_not_fetched(client: Client, entra: Entra) -> None:
    entra.control.forget_hits()

    assert client.get(ADMIN_PAGE).status_code == 200
    assert not any("graph" in name for name in entra.control.hits())


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_lost_group_counts_when_groups_are_old(client: Client, entra: Entra, method: str) -> None:
    entra.control.change_person("ada", groups=[GROUP_VIEWER])
    assert client.get(ADMIN_PAGE).status_code == 200
    grow_old()

    assert getattr(client, method)(ADMIN_PAGE).status_code == 403


def test_no_groups_at_all_is_an_answer(client: Client, entra: Entra) -> None:
    entra.control.change_person("ada", groups=[])
    grow_old()

    assert client.get(ADMIN_PAGE).status_code == 403
    assert User.objects.get().group_oids == []


def test_a_graph_that_fails_leaves_a_viewer_who_stays_signed_in(
    client: Client, entra: Entra
) -> None:
    groups = User.objects.get().group_oids
    entra.control.fail(Endpoints.GRAPH, times=None, status=500)
    grow_old()

    assert client.get(ADMIN_PAGE).status_code == 403
    assert SESSION_KEY in client.session
    assert User.objects.get().group_oids == groups  # failed is not empty


def test_a_dead_graph_is_not_asked_at_every_request(client: Client, entra: Entra) -> None:
    entra.control.fail(Endpoints.GRAPH, times=None, status=500)
    grow_old()
    client.get(ADMIN_PAGE)
    entra.control.forget_hits()

    assert client.get(ADMIN_PAGE).status_code == 403
    assert not any("graph" in name for name in entra.control.hits())


def test_the_level_is_back_with_graph(client: Client, entra: Entra) -> None:
    entra.control.fail(Endpoints.GRAPH, times=1, status=500)
    grow_old()
    assert client.get(ADMIN_PAGE).status_code == 403

    session = client.session
    session["groups_failed_at"] -= 60.0
    session.save()
    assert client.get(ADMIN_PAGE).status_code == 200


def test_where_a_group_is_required_the_answer_is_try_again(
    client: Client, entra: Entra, settings: Settings
) -> None:
    settings.ENTRA_REQUIRE_MAPPED_GROUP = True
    entra.control.fail(Endpoints.GRAPH, times=None, status=500)
    grow_old()

    for _again in range(2):
        response = client.get(ADMIN_PAGE)
        assert response.status_code == 503
        assert b"groups_unknown" in response.content
    assert SESSION_KEY in client.session


@pytest.mark.parametrize(
    ("change", "reason"),
    [("disable", "account_disabled"), ("delete", "account_gone"), ("revoke", "sessions_revoked")],
)
def test_what_happened_at_entra_ends_the_session(
    client: Client, entra: Entra, change: str, reason: str
) -> None:
    session = client.session
    session["signed_in_at"] -= 60.0
    session.save()
    match change:
        case "disable":
            entra.control.change_person("ada", enabled=False)
        case "delete":
            entra.control.delete_person("ada")
        case _:
            entra.control.revoke_sessions("ada")
    grow_old()

    assert client.get(ADMIN_PAGE).status_code in {302, 403}
    assert SESSION_KEY not in client.session
    assert AuditEvent.objects.get(kind=AuditEvent.Kind.SESSION_ENDED).reason == reason


def test_a_sign_in_while_graph_is_down_is_a_viewers(journey: Journey, entra: Entra) -> None:
    entra.control.fail(Endpoints.GRAPH, times=None, status=500)

    assert journey.sign_in("ben").status_code == 302
    event = AuditEvent.objects.filter(kind=AuditEvent.Kind.SIGNED_IN).latest("pk")
    assert event.details["permission"] == "VIEWER"


def test_a_sign_in_again_while_graph_is_down_is_not_the_old_levels(
    journey: Journey, entra: Entra, client: Client
) -> None:
    grow_old()
    entra.control.fail(Endpoints.GRAPH, times=None, status=500)
    client.logout()

    journey.sign_in("ada")

    assert client.get(ADMIN_PAGE).status_code == 403


def test_where_a_group_is_required_nobody_signs_in_while_graph_is_down(
    journey: Journey, entra: Entra, settings: Settings, client: Client
) -> None:
    client.logout()
    settings.ENTRA_REQUIRE_MAPPED_GROUP = True
    entra.control.fail(Endpoints.GRAPH, times=None, status=500)

    assert journey.sign_in("ben").status_code == 503
    assert not journey.is_signed_in
