"""Saved views: private or shared, one to begin with, and never more than one's own figures."""

import html
import re
from datetime import date
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.levels import PermissionLevel
from accounts.mappings import MappingValues, update_mapping
from accounts.models import GroupMapping, User
from finops.models import Dataset, DefaultView, SavedView
from tests.finops.cost_documents import build_all, charge
from tests.finops.flows import FakeFlow, status
from tests.finops.people import person

pytestmark = pytest.mark.django_db
ANCHOR = date(2026, 10, 20)
QUERY = "metric=billed&period=all&group=service_name"


@pytest.fixture(autouse=True)
def _flow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finops.freshness.flow_status", FakeFlow(status()))
    cache.clear()


@pytest.fixture(autouse=True)
def costs() -> Dataset:
    return build_all(
        [
            charge(ANCHOR, "11.11", SubAccountId="mine", ServiceName="Ours"),
            charge(ANCHOR, "7777", SubAccountId="theirs", ServiceName="Secret"),
        ]
    )


class Visit:
    """Somebody and their browser."""

    def __init__(
        self, level: PermissionLevel, name: str, scope: tuple[str, ...] | None = None
    ) -> None:
        self.person: User = person(level, name)
        if scope is not None:
            mapping = GroupMapping.objects.get(group_oid=self.person.group_oids[0])
            update_mapping(mapping, MappingValues(mapping.group_oid, level, scope=scope))
        self.client = Client()
        self.client.force_login(self.person, backend="accounts.oidc.EntraBackend")

    def page(self, path: str) -> str:
        response = self.client.get(path, follow=True)
        assert response.status_code == 200
        return str(response.content.decode())

    def save(self, name: str = "Services", query: str = QUERY, **ticked: str) -> str:
        data = {"name": name, "query": query, **ticked}
        response = self.client.post("/explore/views/save/", data, follow=True)
        assert response.status_code == 200
        return str(html.unescape(response.content.decode()))

    def post(self, view: SavedView, action: str, **data: str) -> int:
        return self.client.post(f"/explore/views/{view.pk}/{action}/", data).status_code


@pytest.fixture
def ada() -> Visit:
    return Visit(PermissionLevel.ANALYST, "Ada")


@pytest.fixture
def bob() -> Visit:
    return Visit(PermissionLevel.VIEWER, "Bob")


def test_a_view_is_saved_found_and_opened(ada: Visit) -> None:
    assert "Saved as “Services”." in ada.save()
    view = SavedView.objects.get()
    assert (view.query, view.shared, view.owner) == (QUERY, False, ada.person)
    assert f'href="/explore/views/{view.pk}/"' in ada.page("/explore/")
    assert ada.client.get(f"/explore/views/{view.pk}/")["Location"] == f"/explore/?{QUERY}"


def test_a_name_is_saved_once_and_replaced(ada: Visit) -> None:
    ada.save()
    ada.save(query="metric=list")
    assert [view.query for view in SavedView.objects.all()] == ["metric=list&period=30-days"]


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_a_view_needs_a_name(ada: Visit, name: str) -> None:
    assert "needs a name" in ada.save(name)
    assert not SavedView.objects.exists()


def test_only_what_the_explorer_understands_is_kept(ada: Visit) -> None:
    ada.save(query="metric=<script>&next=//evil.example&group=service_name")
    assert SavedView.objects.get().query == "metric=effective&period=30-days&group=service_name"


def test_what_is_private_is_nobody_elses(ada: Visit, bob: Visit) -> None:
    ada.save("Secret plans")
    view = SavedView.objects.get()
    assert "Secret plans" not in bob.page("/explore/") + bob.page("/explore/views/")
    assert bob.client.get(f"/explore/views/{view.pk}/").status_code == 404
    for action in ("rename", "delete", "share", "default"):
        assert bob.post(view, action, name="Mine") == 404
    view.refresh_from_db()
    assert (view.name, view.shared) == ("Secret plans", False)


def test_a_shared_view_is_opened_by_everybody_and_changed_by_its_owner(
    ada: Visit, bob: Visit
) -> None:
    ada.save(shared="on")
    view = SavedView.objects.get()
    assert "shared by Ada" in bob.page("/explore/views/")
    assert "Billed cost by service" in bob.page(f"/explore/views/{view.pk}/")
    for action in ("rename", "delete", "share"):
        assert bob.post(view, action, name="Mine") == 404
    assert ada.post(view, "share") == 302
    assert bob.client.get(f"/explore/views/{view.pk}/").status_code == 404


def test_sharing_is_for_analysts(bob: Visit) -> None:
    bob.save(shared="on")
    view = SavedView.objects.get()
    assert not view.shared
    assert bob.post(view, "share") == 403
    assert ">Share<" not in bob.page("/explore/views/")


def test_views_are_renamed_and_deleted(ada: Visit) -> None:
    ada.save("First")
    ada.save("Second")
    view = SavedView.objects.get(name="First")
    ada.post(view, "rename", name="Second")
    assert "another view of that name" in ada.page("/explore/views/")
    ada.post(view, "rename", name="")
    ada.post(view, "rename", name="Third")
    assert sorted(SavedView.objects.values_list("name", flat=True)) == ["Second", "Third"]
    assert ada.post(view, "delete") == 302
    assert [view.name for view in SavedView.objects.all()] == ["Second"]


def test_the_explorer_opens_with_the_default_and_every_address_wins_over_it(
    ada: Visit, bob: Visit
) -> None:
    ada.save(default="on", shared="on")
    view = SavedView.objects.get()
    assert "Billed cost by service" in ada.page("/explore/")
    assert "Effective cost" in bob.page("/explore/")
    assert "List cost" in ada.page("/explore/?metric=list")
    assert bob.post(view, "default") == 302
    assert "Billed cost by service" in bob.page("/explore/")
    assert bob.post(view, "default") == 302
    assert [one.person for one in DefaultView.objects.all()] == [ada.person]


def test_a_default_that_is_no_longer_shared_is_none(ada: Visit, bob: Visit) -> None:
    ada.save(shared="on")
    view = SavedView.objects.get()
    bob.post(view, "default")
    ada.post(view, "share")
    assert "Billed cost by service" not in bob.page("/explore/")
    assert "Services" not in bob.page("/explore/views/")


def test_a_shared_view_shows_a_narrower_person_only_their_own(ada: Visit) -> None:
    ada.save(
        query=f"{QUERY}&filter.service_name=Secret&filter.service_name=Ours"
        "&filter.sub_account_id=theirs",
        shared="on",
    )
    eve = Visit(PermissionLevel.VIEWER, "Eve", scope=("mine",))
    view = SavedView.objects.get()
    text = eve.page(f"/explore/views/{view.pk}/")
    assert not [one for one in ("Secret", "7777", "7,777", "theirs") if one in text]
    assert "nothing that you may see" in text
    query = parse_qs(urlsplit(eve.client.get(f"/explore/views/{view.pk}/")["Location"]).query)
    assert query["filter.service_name"] == ["Ours"]
    assert query["nothing"] == ["sub_account_id"]
    assert re.search(r"No charge matches", text)


def test_an_address_shows_a_narrower_person_only_their_own(ada: Visit) -> None:
    eve = Visit(PermissionLevel.VIEWER, "Eve", scope=("mine",))
    for visit, expected in ((ada, "€7,788.11"), (eve, "€11.11")):
        assert f">{expected}</data>" in visit.page(f"/explore/?{QUERY}")
