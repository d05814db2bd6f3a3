"""Every page of the admin in a real browser: nothing inline, no other host, a quiet console."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.urls import reverse
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from accounts import audit
from accounts.levels import PermissionLevel
from accounts.mappings import create_mapping
from accounts.models import GroupMapping, User
from tests.e2e.test_pages_browser import assert_accessible, browser, sideways
from tests.e2e.visitor import Visitor
from tests.finops.flows import FakeFlow, status

__all__ = ["browser"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

GROUP = UUID("9d0c1a7e-51b2-4c8f-8a11-0f6f3f4f2aff")
MAPPINGS = "/admin/accounts/groupmapping/"


@pytest.fixture
def visitor(
    browser: Browser, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Visitor]:
    monkeypatch.setattr("finops.freshness.flow_status", FakeFlow(status()))
    cache.clear()
    found = Visitor(browser, live_server.url)
    yield found
    found.close()
    assert found.faults == []


@pytest.fixture
def rows() -> None:
    """Something to show in every list whose rows are made without another system."""
    create_mapping(group_oid=GROUP, level=PermissionLevel.ANALYST, scope=["sub-1"], why="a test")
    audit.log_auth_event("ada@nordwind.example", "an-oid", PermissionLevel.ADMIN)
    interval = IntervalSchedule.objects.create(every=5, period="minutes")
    CrontabSchedule.objects.create()
    SolarSchedule.objects.create(event="sunset", latitude=50, longitude=8)
    ClockedSchedule.objects.create(clocked_time="2027-01-01T00:00Z")
    PeriodicTask.objects.create(name="a task", task="a.task", interval=interval)


def pages() -> Iterator[str]:
    """List, add form, change form and history of every model of the admin."""
    for model in sorted(admin.site._registry, key=lambda model: model._meta.label):
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        yield reverse(f"{name}_add")
        first = model._default_manager.first()
        if first is not None:
            yield reverse(f"{name}_change", args=[first.pk])
            yield reverse(f"{name}_history", args=[first.pk])
            yield reverse(f"{name}_delete", args=[first.pk])


def test_no_page_of_the_admin_breaks_the_policy(visitor: Visitor, rows: None) -> None:
    page = visitor.open("/admin/", level=PermissionLevel.ADMIN)
    host = page.url.removesuffix("/admin/")
    for address in pages():
        response = page.goto(host + address)
        assert response
        assert response.status in {200, 403}, address  # 403: what nobody adds or deletes
        if response.status == 403:
            visitor.faults = [fault for fault in visitor.faults if "403" not in fault]
        assert page.evaluate("window.violations") == [], address
        assert visitor.faults == [], address


def test_the_only_inline_scripts_hold_data(visitor: Visitor, rows: None) -> None:
    page = visitor.open("/admin/", level=PermissionLevel.ADMIN)
    task = PeriodicTask.objects.get()
    page.goto(page.url + f"django_celery_beat/periodictask/{task.pk}/change/")
    page.locator("#id_crontab").select_option(index=1)

    expect(page.locator(".field-crontab .help")).to_contain_text("Runs: ")


def own_pages() -> list[str]:
    mapping, person = GroupMapping.objects.get(group_oid=GROUP), User.objects.latest("pk")
    return [
        f"{MAPPINGS}groups/",
        f"{MAPPINGS}import/",
        f"{MAPPINGS}{mapping.pk}/history/",
        f"{MAPPINGS}remove/?id={mapping.pk}",
        f"/admin/accounts/user/{person.pk}/explain/",
    ]


@pytest.mark.parametrize("width", [1280, 380])
def test_our_own_pages_are_accessible_and_fit(visitor: Visitor, rows: None, width: int) -> None:
    page = visitor.open("/admin/", level=PermissionLevel.ADMIN, width=width)
    host = page.url.removesuffix("/admin/")
    for address in own_pages():
        page.goto(host + address)
        assert_accessible(page)
        assert not sideways(page), address


@pytest.mark.parametrize("javascript", [True, False])
def test_a_mapping_is_changed_by_reading_its_preview(
    visitor: Visitor, rows: None, javascript: bool
) -> None:
    mapping = GroupMapping.objects.get(group_oid=GROUP)
    page = visitor.open(
        f"{MAPPINGS}{mapping.pk}/change/", level=PermissionLevel.ADMIN, javascript=javascript
    )
    page.get_by_label("Sub accounts").fill("sub-1\nsub-2")
    page.get_by_label("Why").fill("ticket 4711")
    page.get_by_role("button", name="Show what it would do").click()
    expect(page.get_by_role("heading", name="Who gains or loses")).to_be_visible()
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("was changed successfully")).to_be_visible()
    mapping.refresh_from_db()
    assert mapping.scope == ["sub-1", "sub-2"]
