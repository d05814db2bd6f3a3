"""The pages in a real browser: policy, accessibility, keyboard, narrow screens, no JavaScript."""

import os
import re
from collections.abc import Iterator
from datetime import date
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import cache
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.levels import PermissionLevel
from finops.costs.periods import months_before
from finops.models import Dataset
from replication.status import FlowState
from tests.e2e.chromium import chromium
from tests.e2e.visitor import Visitor
from tests.finops.cost_documents import build_all, charge
from tests.finops.flows import FakeFlow, status

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ANCHOR = date(2026, 10, 20)
SERVICES = [
    "Virtual Machines",
    "Azure SQL Database",
    "AWSElasticLoadBalancingApplicationLoadBalancerCapacityUnits",
    "Bandwidth",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread, in which Django would refuse its database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with chromium() as found:
            yield found
    finally:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(autouse=True)
def flow(monkeypatch: pytest.MonkeyPatch) -> FakeFlow:
    fake = FakeFlow(status())
    monkeypatch.setattr("finops.freshness.flow_status", fake)
    cache.clear()
    return fake


@pytest.fixture
def visitor(browser: Browser, live_server: LiveServer) -> Iterator[Visitor]:
    found = Visitor(browser, live_server.url)
    yield found
    found.close()
    assert found.faults == []


@pytest.fixture
def costs() -> Dataset:
    """Thirteen months of four services in two currencies, with a credit below the axis."""
    months = [months_before(date(2026, 10, 1), back) for back in range(13)]
    rows = [
        charge(month, f"{1000 * (n + 1) + 37 * month.month}.123456", ServiceName=service)
        for month in months
        for n, service in enumerate(SERVICES)
    ]
    rows += [
        charge(ANCHOR, "-2500", ServiceName="Refunds"),
        charge(ANCHOR, "20.52022672899", BillingCurrency="USD"),
    ]
    return build_all(rows)


def assert_accessible(page: Page) -> None:
    """No violation of any rule of axe, in light and in dark."""
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        results = Axe().run(page)
        assert results.violations_count == 0, f"{scheme}: {results.generate_report()}"


def sideways(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


@pytest.mark.parametrize("width", [1440, 1024, 380])
def test_the_overview_is_accessible_and_fits(visitor: Visitor, costs: Dataset, width: int) -> None:
    page = visitor.open(width=width, level=PermissionLevel.ADMIN)
    page.get_by_text("Show data as a table").click()
    assert_accessible(page)
    assert not sideways(page)


def test_every_state_of_the_data_is_accessible_and_fits(
    visitor: Visitor, costs: Dataset, flow: FakeFlow
) -> None:
    for state in FlowState:
        flow.answer = status(state, behind=None, copied=12_000, error="the cluster " + "x" * 90)
        cache.clear()
        page = visitor.open(width=380, level=PermissionLevel.ADMIN)
        expect(page.get_by_role("region", name="State of the data")).to_be_visible()
        assert_accessible(page)
        assert not sideways(page)


def test_pages_without_figures_are_accessible(visitor: Visitor) -> None:
    assert_accessible(visitor.open("/sign-in/", level=None))
    assert_accessible(visitor.open("/", level=PermissionLevel.ADMIN))
    Dataset.objects.create(name="costs", flow="flow")
    assert_accessible(visitor.open("/", width=380))


def test_a_chooser_swaps_the_main_part_and_keeps_the_address(
    visitor: Visitor, costs: Dataset
) -> None:
    page = visitor.open()
    page.evaluate("window.same = true")
    page.get_by_role("link", name="List", exact=True).press("Enter")
    expect(page.get_by_role("heading", name="List cost by service")).to_be_visible()
    assert page.url.endswith("/?metric=list")
    assert page.evaluate("window.same")
    expect(page.locator("#metric-list")).to_be_focused()
    page.get_by_role("link", name="USD").click()
    expect(page.get_by_text("exactly 20.52022672899").first).to_be_visible()
    assert page.evaluate("window.same")


def test_going_back_shows_the_page_before(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open("/?metric=billed")
    page.get_by_role("link", name="List", exact=True).click()
    expect(page.get_by_role("heading", name="List cost by service")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Billed cost by service")).to_be_visible()


def test_choosers_work_without_javascript(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open(javascript=False)
    page.get_by_role("link", name="USD").click()
    expect(page.get_by_text("exactly 20.52022672899").first).to_be_visible()
    page.get_by_text("Show data as a table").click()
    expect(page.get_by_role("cell", name="$20.52").first).to_be_visible()


def test_the_chart_explains_itself_by_keyboard(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open()
    columns = page.get_by_role("listitem", name=re.compile(r"^\w{3} 20\d\d.*€"))
    expect(columns).to_have_count(13)
    tooltip = page.locator(".tooltip")
    columns.last.focus()
    expect(tooltip).to_contain_text("Oct 2026, to 20 Oct 2026")
    expect(tooltip).to_contain_text("−€2,500.00")
    page.keyboard.press("ArrowLeft")
    expect(tooltip).to_contain_text("Sep 2026")
    page.keyboard.press("Home")
    expect(tooltip).to_contain_text("Oct 2025")
    expect(columns.first).to_be_focused()
    page.keyboard.press("Escape")
    expect(tooltip).to_be_hidden()


@pytest.mark.parametrize("width", [1440, 380])
def test_the_tooltip_follows_the_pointer_and_stays_inside(
    visitor: Visitor, costs: Dataset, width: int
) -> None:
    page = visitor.open(width=width)
    page.locator(".chart").scroll_into_view_if_needed()
    for index in (0, 6, 12):
        page.locator(".hit").nth(index).hover(position={"x": 2, "y": 4})
        tooltip = page.locator(".tooltip")
        expect(tooltip).to_contain_text("Virtual Machines")
        box, card = tooltip.bounding_box(), page.locator(".chart").bounding_box()
        assert box
        assert card
        assert card["x"] - 1 <= box["x"]
        assert box["x"] + box["width"] <= card["x"] + card["width"] + 1
        assert not sideways(page)


def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    visitor: Visitor, costs: Dataset
) -> None:
    page = visitor.open(level=PermissionLevel.ADMIN)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
        assert page.evaluate("document.activeElement.matches(':focus-visible')")
        if reached[-1].startswith("Service"):
            break
    for name in ("Overview", "Administration", "Sign out", "USD", "List", "Show data as a table"):
        assert name in reached


def test_the_menu_opens_on_a_phone_by_keyboard(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open(width=380, level=PermissionLevel.ADMIN)
    sign_out = page.get_by_role("button", name="Sign out")
    expect(sign_out).to_be_hidden()
    page.get_by_role("button", name="Menu").press("Enter")
    expect(sign_out).to_be_visible()
    expect(page.get_by_role("link", name="Administration")).to_be_in_viewport()
    assert_accessible(page)
    page.keyboard.press("Escape")
    expect(sign_out).to_be_hidden()


def test_the_page_is_light_and_does_not_jump(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open()
    assert visitor.weight() <= 100_000
    assert page.evaluate("window.shift") < 0.02


def test_nothing_of_the_costs_stays_in_the_browser(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open()
    page.get_by_role("link", name="List", exact=True).click()
    expect(page.get_by_role("heading", name="List cost by service")).to_be_visible()
    kept = page.evaluate("[...Object.keys(localStorage), ...Object.keys(sessionStorage)]")
    assert set(kept) <= {"htmx-current-path-for-history"}


def test_paper_gets_the_figures_without_the_frame(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open()
    page.emulate_media(media="print")
    expect(page.get_by_role("navigation", name="Main")).to_be_hidden()
    expect(page.get_by_role("heading", name="Services")).to_be_visible()


def test_a_refused_page_stays_usable(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open()
    page.goto(page.url + "admin/")
    assert_accessible(page)
    page.get_by_role("link", name="Open the overview").click()
    expect(page.get_by_role("heading", name="Cost overview")).to_be_visible()
    visitor.faults.clear()  # the browser itself writes the status 403 to the console
