"""Mappings in the admin: previewed, confirmed, explained; found, imported, exported."""

from uuid import UUID, uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.levels import PermissionLevel
from accounts.mappings import create_mapping, current_version, load
from accounts.models import GroupMapping, User
from sandbox.entra.directory import GROUP_ANALYST
from sandbox.entra.faults import Endpoints
from tests.accounts.confirming import confirm, hidden_fields, preview
from tests.people import GROUPS, new_person, sign_in_as
from tests.sandbox.entra_fixtures import Entra

pytestmark = pytest.mark.django_db

VIEWER, ANALYST, ADMIN = PermissionLevel
ADD = "/admin/accounts/groupmapping/add/"
IMPORT = "/admin/accounts/groupmapping/import/"
GROUP = UUID("9d0c1a7e-51b2-4c8f-8a11-0f6f3f4f2a01")


@pytest.fixture(autouse=True)
def admin(client: Client) -> User:
    return sign_in_as(client, ADMIN)


def change(mapping: GroupMapping) -> str:
    return reverse("admin:accounts_groupmapping_change", args=[mapping.pk])


def form(**fields: str) -> dict[str, str]:
    return {"group_oid": str(GROUP), "display_name": "A", "level": "1", "why": "why not"} | fields


def stored(group: UUID = GROUP) -> GroupMapping:
    return GroupMapping.objects.get(group_oid=group)


def test_a_preview_names_who_gains_and_who_loses_and_writes_nothing(client: Client) -> None:
    ben = new_person(ANALYST, name="Ben Analyst")
    new_person(VIEWER, name="Cleo Viewer")
    User.objects.filter(pk=ben.pk).update(group_oids=[str(GROUPS[ANALYST])])
    mapping = stored(GROUPS[ANALYST])
    before = current_version()

    page = preview(
        client, change(mapping), form(group_oid=str(mapping.group_oid), level="2", scope="sub-1")
    )

    assert "Ben Analyst" in page
    assert "Cleo Viewer" not in page
    assert "Analyst: all sub accounts" in page
    assert "Analyst: sub-1" in page
    assert '<span class="finops-tag loses">loses</span>' in page
    assert (current_version(), stored(GROUPS[ANALYST]).scope) == (before, None)


def test_the_first_scope_takes_all_rows_from_unmapped_people(client: Client) -> None:
    new_person(None, name="Dan Nobody")

    page = preview(client, ADD, form(scope="sub-1"))

    assert "Dan Nobody" in page
    assert "Viewer: no rows" in page


def test_a_confirmed_preview_is_saved_with_scope_expiry_and_reason(client: Client) -> None:
    response = confirm(
        client, ADD, form(scope=" b\n\na\n", expires_on="2030-01-31", group_oid=f"{{{GROUP}}}")
    )

    assert response.status_code == 302
    assert (stored().scope, str(stored().expires_on)) == (["a", "b"], "2030-01-31")
    assert stored().history.get().history_change_reason == "why not"


def test_a_preview_of_older_mappings_is_shown_again(client: Client) -> None:
    fields = hidden_fields(preview(client, ADD, form()))
    create_mapping(group_oid=uuid4(), level=VIEWER)

    page = client.post(ADD, fields)

    assert "Somebody changed the mappings meanwhile" in page.content.decode()
    assert str(GROUP) not in load().levels


def test_a_forged_confirmation_does_not_skip_the_checks(client: Client) -> None:
    data = form(level="9") | {"_confirmed": str(current_version())}

    assert client.post(ADD, data).status_code == 200
    assert str(GROUP) not in load().levels


@pytest.mark.parametrize("fields", [{"level": "2"}, {"level": "3", "expires_on": "2027-01-01"}])
def test_the_last_admin_mapping_cannot_be_given_up(client: Client, fields: dict[str, str]) -> None:
    mapping = stored(GROUPS[ADMIN])
    data = form(group_oid=str(mapping.group_oid)) | fields

    page = preview(client, change(mapping), data)
    assert "no ADMIN mapping without an expiry date" in page
    assert 'value="Save"' not in page
    forced = client.post(change(mapping), data | hidden_fields(page) | {"_lock_out": "on"})
    assert forced.status_code == 302
    assert load().levels[str(mapping.group_oid)] is ADMIN


def test_the_last_admin_mapping_cannot_be_removed(client: Client) -> None:
    address = f"/admin/accounts/groupmapping/remove/?id={stored(GROUPS[ADMIN]).pk}"

    confirm(client, address, {"why": "tidy"})
    assert stored(GROUPS[ADMIN])


def test_a_removal_needs_a_reason(client: Client) -> None:
    mapping = create_mapping(group_oid=GROUP, level=VIEWER)
    address = f"/admin/accounts/groupmapping/remove/?id={mapping.pk}"

    page = client.post(address, {"_confirmed": current_version()})
    assert "This field is required" in page.content.decode()
    assert stored()


def test_the_history_tells_who_what_and_why_even_of_what_is_gone(
    client: Client, admin: User
) -> None:
    confirm(client, ADD, form(why="ticket 1"))
    mapping = stored()
    confirm(client, change(mapping), form(level="2", why="<ticket> 2"))
    confirm(client, f"/admin/accounts/groupmapping/remove/?id={mapping.pk}", {"why": "ticket 3"})

    page = client.get(
        reverse("admin:accounts_groupmapping_history", args=[mapping.pk])
    ).content.decode()
    assert [page.index(text) for text in ("ticket 3", "&lt;ticket&gt; 2", "ticket 1")] == sorted(
        page.index(text) for text in ("ticket 3", "&lt;ticket&gt; 2", "ticket 1")
    )
    assert "<del>Viewer</del> <ins>Analyst</ins>" in page
    assert page.count(str(admin)) >= 3


# --- the directory ------------------------------------------------------------------------------


def test_a_missing_name_comes_from_the_directory(client: Client, entra: Entra) -> None:
    confirm(client, ADD, form(group_oid=GROUP_ANALYST, display_name=""))

    assert stored(UUID(GROUP_ANALYST)).display_name


def test_a_group_that_does_not_exist_is_refused(client: Client, entra: Entra) -> None:
    page = preview(client, ADD, form(group_oid=str(uuid4()), display_name=""))

    assert "The directory has no group with this object id" in page


def test_without_graph_a_mapping_has_no_name(client: Client, entra: Entra) -> None:
    entra.control.fail(Endpoints.GRAPH, times=None, status=500)

    confirm(client, ADD, form(display_name=""))
    assert stored().display_name == ""


def test_a_group_is_found_by_name_and_led_to_the_form(client: Client, entra: Entra) -> None:
    create_mapping(group_oid=UUID(GROUP_ANALYST), level=ANALYST, display_name="known")

    page = client.get("/admin/accounts/groupmapping/groups/", {"q": "fin"}).content.decode()
    assert "Analyst: change" in page
    assert f"{ADD}?group_oid=" in page


@pytest.mark.parametrize("q", ["", '"', "\\", "zzz", '" OR "displayName:', "é" * 200, "a&b#c"])
def test_any_name_may_be_searched_for(client: Client, entra: Entra, q: str) -> None:
    assert client.get("/admin/accounts/groupmapping/groups/", {"q": q}).status_code == 200


def test_a_search_without_graph_says_so(client: Client, entra: Entra) -> None:
    entra.control.fail(Endpoints.GRAPH, times=None, status=403)

    page = client.get("/admin/accounts/groupmapping/groups/", {"q": "fin"}).content.decode()
    assert "Microsoft Graph does not answer" in page


# --- files --------------------------------------------------------------------------------------


def upload(client: Client, text: str, **fields: str) -> str:
    file = SimpleUploadedFile("mappings.csv", text.encode())
    response = client.post(IMPORT, {"file": file, "why": "set up", **fields})
    assert response.status_code == 200
    return response.content.decode()


def test_an_import_is_previewed_then_made(client: Client) -> None:
    new_person(None, name="Dan Nobody")
    page = upload(client, f"group_oid,level,sub_accounts\n{GROUP},analyst,a;b\n")
    assert "Dan Nobody" in page
    assert str(GROUP) not in load().levels

    client.post(IMPORT, hidden_fields(page))
    assert (stored().level, stored().scope) == (ANALYST, ["a", "b"])


def test_a_file_with_problems_changes_nothing(client: Client) -> None:
    page = upload(client, f"group_oid,level\n{GROUP},viewer\n{uuid4()},boss\n")

    assert "Line 3: level: &#x27;boss&#x27;" in page
    assert "viewer, analyst, admin" in page
    assert str(GROUP) not in load().levels


def test_a_file_that_leaves_no_administrator_is_refused(client: Client) -> None:
    page = upload(client, f"group_oid,level\n{GROUP},viewer\n", replace="on")

    assert "no ADMIN mapping without an expiry date" in page
    client.post(IMPORT, hidden_fields(page))
    assert stored(GROUPS[ADMIN])


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_an_export_says_what_is_stored_so_its_import_changes_nothing(
    client: Client, kind: str
) -> None:
    response = client.get(f"/admin/accounts/groupmapping/export/{kind}/")
    assert "attachment" in response["Content-Disposition"]

    file = SimpleUploadedFile("again", response.content)
    again = client.post(IMPORT, {"file": file, "why": "same", "replace": "on"})
    assert again.status_code == 302


def test_an_import_of_no_text_is_refused(client: Client) -> None:
    file = SimpleUploadedFile("x.csv", b"\xff\xfe\x00")

    page = client.post(IMPORT, {"file": file, "why": "x"}).content.decode()
    assert "no text in UTF-8" in page
    assert "Choose a file" in client.post(IMPORT, {"why": "x"}).content.decode()
