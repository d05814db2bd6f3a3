"""The admin site: entered by level, and what one can do in it."""

from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse

from accounts.levels import PermissionLevel
from accounts.mappings import create_mapping, current_version, load
from accounts.models import AuditEvent, GroupMapping, User
from tests.accounts.confirming import confirm, preview
from tests.people import new_person, sign_in_as

pytestmark = pytest.mark.django_db

GROUP = "9d0c1a7e-51b2-4c8f-8a11-0f6f3f4f2a01"
MAPPINGS = "admin:accounts_groupmapping"


@pytest.fixture
def admin(client: Client) -> User:
    return sign_in_as(client, PermissionLevel.ADMIN)


@pytest.mark.parametrize("level", [None, PermissionLevel.VIEWER, PermissionLevel.ANALYST])
@pytest.mark.parametrize("name", ["admin:index", f"{MAPPINGS}_changelist", f"{MAPPINGS}_add"])
def test_lower_levels_stay_out(client: Client, level: PermissionLevel | None, name: str) -> None:
    sign_in_as(client, level)

    assert client.get(reverse(name)).status_code == 403


def test_entra_leads_to_the_admin_and_back(client: Client) -> None:
    assert client.get("/admin/")["Location"] == "/sign-in/?next=%2Fadmin%2F"
    assert client.get("/admin/login/?next=/admin/x/")["Location"] == (
        "/sign-in/?next=%2Fadmin%2Fx%2F"
    )


def test_a_stored_flag_opens_nothing(client: Client) -> None:
    cleo = sign_in_as(client, PermissionLevel.VIEWER)

    assert not cleo.is_staff
    assert client.get("/admin/").status_code == 403


@pytest.mark.parametrize("model", ["groupmapping", "user", "auditevent"])
def test_every_list_opens(client: Client, admin: User, model: str) -> None:
    create_mapping(group_oid=UUID(GROUP), level=PermissionLevel.VIEWER, actor=admin)

    assert client.get(reverse(f"admin:accounts_{model}_changelist")).status_code == 200


def test_a_mapping_is_made_changed_and_deleted_with_a_trace(client: Client, admin: User) -> None:
    form = {"group_oid": GROUP.upper(), "display_name": "Chiefs", "level": "2", "why": "ticket 1"}
    before = current_version()

    confirm(client, reverse(f"{MAPPINGS}_add"), form)
    mapping = GroupMapping.objects.get(group_oid=GROUP)
    confirm(client, reverse(f"{MAPPINGS}_change", args=[mapping.pk]), form | {"level": "3"})
    assert load().levels[GROUP] is PermissionLevel.ADMIN
    removal = client.get(reverse(f"{MAPPINGS}_delete", args=[mapping.pk]))["Location"]
    confirm(client, removal, {"why": "ticket 2"})

    assert GROUP not in load().levels
    assert current_version() == before + 3
    events = AuditEvent.objects.filter(resource=f"group:{GROUP}").order_by("pk")
    assert [event.kind for event in events] == [
        "mapping_created",
        "mapping_changed",
        "mapping_deleted",
    ]
    assert {event.user_oid for event in events} == {str(admin.oid)}
    assert [event.details["why"] for event in events] == ["ticket 1", "ticket 1", "ticket 2"]


def test_a_bulk_delete_counts_too(client: Client, admin: User) -> None:
    mapping = create_mapping(group_oid=UUID(GROUP), level=PermissionLevel.VIEWER)
    before = current_version()

    removal = client.post(
        reverse(f"{MAPPINGS}_changelist"),
        {"action": "delete_selected", "_selected_action": [mapping.pk]},
    )["Location"]
    confirm(client, removal, {"why": "nobody uses it"})

    assert GROUP not in load().levels
    assert current_version() == before + 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"group_oid": "00000000-0000-0000-0000-000000000000"},
        {"group_oid": "FinOps Administrators"},
        {"level": "4"},
        {"level": ""},
        {"why": ""},
        {"scope": "fine\nnot\u202efine"},
        {"expires_on": "soon"},
    ],
)
def test_a_wrong_mapping_is_not_saved(client: Client, admin: User, wrong: dict[str, str]) -> None:
    form = {"group_oid": GROUP, "display_name": "A", "level": "1", "why": "x"} | wrong
    page = preview(client, reverse(f"{MAPPINGS}_add"), form | {"_confirmed": current_version()})

    assert "errorlist" in page
    assert GroupMapping.objects.count() == 1  # the administrators' own


def test_a_group_is_mapped_once(client: Client, admin: User) -> None:
    form = {"group_oid": f"{{{GROUP}}}", "display_name": "A", "level": "1", "why": "x"}
    create_mapping(group_oid=UUID(GROUP), level=PermissionLevel.VIEWER)

    assert b"already exists" in client.post(reverse(f"{MAPPINGS}_add"), form).content


def test_a_person_can_be_locked_out_and_nothing_else(client: Client, admin: User) -> None:
    cleo = new_person(PermissionLevel.VIEWER)
    address = reverse("admin:accounts_user_change", args=[cleo.pk])

    client.post(address, {"display_name": "Somebody", "is_superuser": "on", "is_staff": "on"})

    cleo.refresh_from_db()
    assert (cleo.is_active, cleo.is_superuser, cleo.display_name) == (False, False, "Ada Lindgren")
    assert AuditEvent.objects.get(kind="user_changed").details == {"is_active": False}


@pytest.mark.parametrize("model", ["user", "auditevent"])
def test_facts_are_neither_added_nor_deleted(client: Client, admin: User, model: str) -> None:
    changelist = reverse(f"admin:accounts_{model}_changelist")

    assert client.get(f"{changelist}add/").status_code == 403
    assert client.post(f"{changelist}1/delete/", {"post": "yes"}).status_code in {302, 403}


def test_djangos_groups_are_no_second_way_to_rights(client: Client, admin: User) -> None:
    assert client.get("/admin/auth/group/").status_code == 404


def test_the_admins_sign_out_is_ours(client: Client, admin: User) -> None:
    assert client.get("/admin/logout/").status_code == 405
    assert client.post("/admin/logout/")["Location"].endswith("/signed-out/")
    assert "_auth_user_id" not in client.session
