"""Every URL is denied unless its view says who may open it."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.test import Client
from django.urls import include, path
from django.utils import timezone
from django.views import View
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.guard import (
    GuardedRequest,
    get_current_permission,
    has_permission,
    public,
    require_permission,
)
from accounts.levels import PermissionLevel
from accounts.mappings import (
    MappingValues,
    create_mapping,
    delete_mappings,
    update_mapping,
)
from accounts.models import AuditEvent, GroupMapping, User
from finops.urls import urlpatterns as project_urls
from tests.people import sign_in_as

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.accounts.test_guard")]


@public
def open_to_all(request: HttpRequest) -> HttpResponse:
    assert get_current_permission(request) is None
    return HttpResponse("open")


@require_permission(PermissionLevel.VIEWER)
def for_viewers(request: GuardedRequest) -> HttpResponse:
    assert has_permission(request, PermissionLevel.VIEWER)
    return HttpResponse(request.permission.permission_level.name)


@require_permission(PermissionLevel.ANALYST)
def for_analysts(request: GuardedRequest) -> HttpResponse:
    template = Template("{{ request.permission.permission_level.label }}")
    return HttpResponse(template.render(Context({"request": request})))


@require_permission(PermissionLevel.ADMIN)
def for_admins(request: GuardedRequest) -> HttpResponse:
    return HttpResponse("admin")


def for_nobody(request: HttpRequest) -> HttpResponse:
    raise AssertionError("a view that does not say who may open it has run")


class ClassView(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("class")


urlpatterns = [
    *project_urls,
    path("open/", open_to_all),
    path("viewers/", for_viewers),
    path("analysts/", for_analysts),
    path("admins/", for_admins),
    path("nobody/", for_nobody),
    path("class/", require_permission(PermissionLevel.ANALYST)(ClassView.as_view())),
    path("unmarked-class/", ClassView.as_view()),
    path("nested/", include([path("nobody/", for_nobody)])),
]


@pytest.mark.parametrize("address", ["/viewers/", "/admins/", "/nobody/", "/nested/nobody/"])
def test_nobody_comes_in_without_signing_in(client: Client, address: str) -> None:
    response = client.get(address, {"a": "b"})

    assert response.status_code == 302
    assert response["Location"] == f"/sign-in/?next={address.replace('/', '%2F')}%3Fa%3Db"


@pytest.mark.parametrize(
    ("level", "allowed"),
    [
        (None, {"/viewers/"}),
        (PermissionLevel.VIEWER, {"/viewers/"}),
        (PermissionLevel.ANALYST, {"/viewers/", "/analysts/", "/class/"}),
        (PermissionLevel.ADMIN, {"/viewers/", "/analysts/", "/class/", "/admins/"}),
    ],
)
def test_a_level_opens_what_it_reaches(
    client: Client, level: PermissionLevel | None, allowed: set[str]
) -> None:
    sign_in_as(client, level)
    addresses = ["/viewers/", "/analysts/", "/class/", "/admins/"]

    statuses = {address: client.get(address).status_code for address in addresses}

    assert statuses == {address: 200 if address in allowed else 403 for address in addresses}


def test_the_level_reaches_templates(client: Client) -> None:
    sign_in_as(client, PermissionLevel.ADMIN)

    assert client.get("/analysts/").content == b"Admin"


@pytest.mark.parametrize("address", ["/nobody/", "/nested/nobody/", "/unmarked-class/"])
def test_an_unmarked_view_is_closed_to_everybody(client: Client, address: str) -> None:
    sign_in_as(client, PermissionLevel.ADMIN)

    response = client.get(address)

    assert response.status_code == 403
    assert b"unclassified" in response.content


def test_a_public_page_is_open(client: Client) -> None:
    assert client.get("/open/").content == b"open"


def test_a_denial_is_recorded_without_its_query(client: Client) -> None:
    person = sign_in_as(client, PermissionLevel.VIEWER)

    client.get("/admins/?secret=1")

    event = AuditEvent.objects.get(kind=AuditEvent.Kind.ACCESS_DENIED)
    assert (event.user_oid, event.resource) == (str(person.oid), "/admins/")
    assert event.details == {"required": "ADMIN"}
    assert event.request_id


def test_a_mapping_edit_counts_at_the_next_request(client: Client) -> None:
    sign_in_as(client, PermissionLevel.ANALYST)
    assert client.get("/analysts/").status_code == 200
    mapping = GroupMapping.objects.get()

    create_mapping(group_oid=uuid4(), level=PermissionLevel.ADMIN)  # so that it is not the last
    update_mapping(mapping, MappingValues(mapping.group_oid, PermissionLevel.ADMIN))
    assert client.post("/admins/").status_code == 200
    delete_mappings([mapping])
    assert client.post("/analysts/").status_code == 403


def test_a_deactivated_person_is_out_at_the_next_request(client: Client) -> None:
    sign_in_as(client, PermissionLevel.ADMIN)
    client.get("/admins/")
    User.objects.update(is_active=False)

    assert client.get("/admins/").status_code == 302


def test_an_ended_session_of_a_form_is_not_redirected(client: Client) -> None:
    response = client.post("/viewers/", {"typed": "text"})

    assert response.status_code == 401
    assert response["HX-Redirect"] == "/sign-in/"


def test_an_ended_session_of_htmx_leads_back_to_the_page(client: Client) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/costs/?currency=EUR"}
    response = client.get("/viewers/", headers=headers)

    assert response.status_code == 401
    assert response["HX-Redirect"] == "/sign-in/?next=%2Fcosts%2F%3Fcurrency%3DEUR"


def test_what_htmx_says_leads_to_no_other_site(client: Client) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://x//evil.example"}

    assert client.get("/viewers/", headers=headers)["HX-Redirect"] == "/sign-in/"


def test_an_expired_session_is_an_ended_one(client: Client) -> None:
    sign_in_as(client, PermissionLevel.VIEWER)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))

    assert client.get("/viewers/").status_code == 302


@pytest.mark.parametrize("damage", ["text", {}, {"user_oid": 1}, {"permission_level": 9}, []])
def test_a_damaged_session_is_ended(client: Client, damage: object) -> None:
    sign_in_as(client, PermissionLevel.ADMIN)
    client.get("/admins/")
    session = client.session
    session["user_permission"] = damage
    session.save()

    assert client.get("/admins/").status_code == 302
    assert "_auth_user_id" not in client.session
    event = AuditEvent.objects.get(kind=AuditEvent.Kind.SESSION_ENDED)
    assert event.reason == "session_damaged"


def test_a_raised_level_in_the_session_is_worth_nothing_after_an_edit(client: Client) -> None:
    sign_in_as(client, PermissionLevel.VIEWER)
    client.get("/viewers/")
    session = client.session
    session["user_permission"]["user_oid"] = "somebody else"
    session["user_permission"]["permission_level"] = 3
    session.save()

    assert client.get("/admins/").status_code == 403


def test_a_guarded_request_costs_one_read_more(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    person = sign_in_as(client, PermissionLevel.VIEWER)
    person.group_oids = [str(n) for n in range(2500)]
    person.save()
    client.get("/viewers/")

    with django_assert_num_queries(3) as queries:  # session, user, version
        client.get("/viewers/")
    assert not any("group_oids" in query["sql"] for query in queries.captured_queries)


def test_what_was_seen_is_not_cached(client: Client) -> None:
    sign_in_as(client, PermissionLevel.VIEWER)

    assert client.get("/viewers/")["Cache-Control"] == "no-store, private"


def test_a_local_account_that_is_no_superuser_is_out(client: Client, settings: Settings) -> None:
    settings.BREAK_GLASS_SIGN_IN = True
    local = User.objects.create_user("local", password="correct horse battery", is_staff=True)
    client.force_login(local)

    assert client.get("/viewers/").status_code == 302
