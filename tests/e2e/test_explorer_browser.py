"""The explorer in a real browser: its main paths, and that everybody can walk them."""

import csv
import re
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from accounts.levels import PermissionLevel
from accounts.mappings import MappingValues, update_mapping
from accounts.models import GroupMapping
from finops.costs.engine import QueryTooLong
from finops.models import Dataset, SavedView
from tests.e2e.test_pages_browser import assert_accessible, browser, flow, sideways, visitor
from tests.e2e.visitor import Visitor
from tests.finops.cost_documents import build_all, charge

__all__ = ["browser", "flow", "visitor"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ANCHOR = date(2026, 10, 20)
ANALYST = PermissionLevel.ANALYST
SERVICES = ["Virtual Machines", "Azure SQL Database", "Storage", "Bandwidth"]
GROUPED = "/explore/?group=service_name&period=this-month&compare=period"


@pytest.fixture
def costs() -> Dataset:
    """Fifty days of four services in two regions and two sub accounts, and a credit."""
    rows = [
        charge(
            ANCHOR - timedelta(days=back),
            f"{100 * (n + 1) + back}.125",
            ServiceName=service,
            RegionName=[None, "North", "South"][(back + n) % 3],
            ResourceName=f"{service} {back % 2}",
            SubAccountId=["mine", "theirs"][n % 2],
            Tags='{"team": "blue"}' if n else None,
        )
        for back in range(50)
        for n, service in enumerate(SERVICES)
    ]
    rows.append(charge(ANCHOR, "-2500", ServiceName="Refunds", SubAccountId="theirs"))
    rows.append(charge(ANCHOR, "7", BillingCurrency="USD", SubAccountId="theirs"))
    return build_all(rows)


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query, keep_blank_values=True)


@pytest.mark.parametrize("width", [1440, 768, 380])
@pytest.mark.parametrize(
    "path",
    [
        f"{GROUPED}&group=region_name&filter.region_name=&filter.region_name=North&top=5",
        "/explore/?period=custom&from=2026-09-05&to=2026-10-20&cumulative=1&metric=net",
        "/explore/?filter.service_name=Nowhere",
        "/explore/values/?dimension=service_name&filter.service_name=Storage",
        "/explore/rows/?filter.service_name=Storage&column=tags&column=billed_cost",
        "/explore/views/",
    ],
    ids=["pairs", "running", "nothing", "values", "rows", "views"],
)
def test_every_page_is_accessible_and_fits(
    visitor: Visitor, costs: Dataset, path: str, width: int
) -> None:
    page = visitor.open(path, width=width, level=ANALYST)
    assert page.evaluate("window.shift") < 0.02
    assert visitor.weight() <= 120_000
    for summary in page.locator("summary:visible").all():
        summary.click()
    assert_accessible(page)
    assert not sideways(page)


def test_a_question_is_asked_by_choosing(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open("/explore/")
    page.evaluate("window.same = true")
    page.get_by_label("Group by").focus()
    page.get_by_label("Group by").select_option("Service")
    expect(page.get_by_role("heading", name="Effective cost by service")).to_be_visible()
    expect(page.locator("#group-1")).to_be_focused()
    page.get_by_label("and by", exact=True).select_option("region_name")
    expect(page.get_by_role("columnheader", name="Region")).to_have_count(1)
    page.get_by_label("Compare with").select_option("Previous period")
    expect(page.get_by_role("columnheader", name="Difference")).to_be_visible()
    page.get_by_role("group").get_by_text("More options").click()
    page.get_by_role("checkbox", name="Running sum").check()
    expect(page.get_by_role("heading", name=re.compile("running sum"))).to_be_visible()
    assert query(page) == {
        "metric": ["effective"],
        "period": ["30-days"],
        "compare": ["period"],
        "cumulative": ["1"],
        "currency": ["EUR"],
        "group": ["service_name", "region_name"],
    }
    assert page.evaluate("window.same")
    page.go_back()
    expect(page.locator("#cumulative")).not_to_be_checked()  # behind "More options"


def test_days_of_ones_own_are_asked_for(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open("/explore/?period=7-days")
    expect(page.get_by_label("From")).to_be_hidden()
    page.get_by_label("Period", exact=True).select_option("Days of my own")
    page.wait_for_url("**period=custom**")
    page.get_by_label("From").fill("2026-10-10")
    page.get_by_label("From").press("Enter")
    expect(page.get_by_text("10–20 Oct 2026").first).to_be_visible()
    assert query(page)["from"] == ["2026-10-10"]
    expect(page.get_by_role("listitem", name=re.compile(r"^10 Oct 2026"))).to_be_visible()


def test_values_are_searched_and_become_a_filter(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open("/explore/?group=service_name&period=this-month")
    page.get_by_label("Add a filter").select_option("Service")
    expect(page.get_by_role("checkbox")).to_have_count(5)
    page.get_by_role("checkbox", name=re.compile("^Storage")).check()
    page.get_by_label("Values of Service").press_sequentially("sql")
    expect(page.get_by_role("checkbox")).to_have_count(2)
    expect(page.get_by_role("checkbox", name=re.compile("^Storage"))).to_be_checked()
    page.get_by_role("checkbox", name=re.compile("^Azure SQL")).check()
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.get_by_role("list", name="Filters")).to_contain_text("Azure SQL Database, Storage")
    assert sorted(query(page)["filter.service_name"]) == ["Azure SQL Database", "Storage"]
    expect(page.locator("table.groups tbody tr")).to_have_count(2)
    page.get_by_role("link", name="Service: Azure SQL Database, Storage").click()
    expect(page.get_by_role("checkbox", name=re.compile("^Storage"))).to_be_checked()
    page.get_by_role("link", name="Remove the filter on Service").click()
    expect(page.locator("table.groups tbody tr")).to_have_count(5)


def test_from_a_service_down_to_its_rows(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open(GROUPED, level=ANALYST)
    page.get_by_role("link", name="Storage", exact=True).click()
    expect(page.get_by_role("heading", name="Effective cost by resource")).to_be_visible()
    page.get_by_role("link", name="Storage 1", exact=True).click()
    expect(page.get_by_role("heading", name="by charge description")).to_have_count(2)
    page.get_by_role("link", name="Rows", exact=True).first.click()
    expect(page.get_by_role("heading", name="Cost rows")).to_be_visible()
    expect(page.get_by_role("heading", name="10 rows")).to_be_visible()
    expect(page.locator("table.rows tbody tr")).to_have_count(10)
    page.get_by_role("link", name="back to the costs").click()
    expect(page.get_by_role("heading", name="Cost explorer")).to_be_visible()


def test_the_table_is_sorted_by_its_heads(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open(GROUPED)
    names = page.locator("table.groups tbody tr th")
    expect(names.first).to_have_text("Bandwidth")
    page.get_by_role("columnheader", name="Service").get_by_role("link").press("Enter")
    expect(page.locator("#sort-1")).to_be_focused()
    expect(names.first).to_have_text("Azure SQL Database")
    expect(page.get_by_role("columnheader", name="Service")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.get_by_role("columnheader", name="Difference").get_by_role("link").click()
    expect(names.last).to_have_text("Refunds")


def test_the_chart_says_what_each_column_is_compared_with(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open(GROUPED)
    page.get_by_role("listitem", name=re.compile(r"^20 Oct 2026")).focus()
    tooltip = page.locator(".tooltip")
    expect(tooltip).to_contain_text("Before, 1–20 Sep€1,120.50")
    expect(tooltip).to_contain_text("Refunds−€2,500.00")
    page.keyboard.press("ArrowLeft")
    expect(tooltip).to_contain_text("19 Oct 2026")


def test_a_view_is_saved_opened_renamed_and_deleted(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open(GROUPED, level=ANALYST)
    page.get_by_text("Views", exact=True).press("Enter")
    page.get_by_label("Save what you see as").fill("Services")
    page.get_by_label("The explorer opens with it").check()
    page.get_by_label("Share it with everybody").check()
    assert_accessible(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved as “Services”.")).to_be_visible()
    page.get_by_role("link", name="Explorer").click()
    expect(page.get_by_role("heading", name="Effective cost by service")).to_be_visible()
    page.get_by_text("Views", exact=True).click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="All views")).to_be_hidden()
    page.get_by_text("Views", exact=True).click()
    page.get_by_role("link", name="All views").click()
    page.locator("summary", has_text="Rename").click()
    page.get_by_label("New name").fill("By service")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("link", name="By service")).to_be_visible()
    assert_accessible(page)
    page.locator("summary", has_text="Delete").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("There is none yet.")).to_be_visible()
    assert not SavedView.objects.exists()


def test_an_address_shows_a_narrower_person_their_own_figures(
    visitor: Visitor, costs: Dataset
) -> None:
    filters = "filter.service_name=Storage&filter.service_name=Bandwidth"
    theirs = visitor.open(f"{GROUPED}&{filters}", level=ANALYST)
    expect(theirs.locator("table.groups tbody tr")).to_have_count(2)
    mapping = GroupMapping.objects.get()
    values = MappingValues(mapping.group_oid, ANALYST, scope=("mine",))
    update_mapping(mapping, values)
    theirs.reload()
    expect(theirs.locator("table.groups tbody tr")).to_have_count(1)
    expect(theirs.locator("table.groups tbody")).to_contain_text("Storage")
    expect(theirs.get_by_text("Only the costs of the sub account")).to_be_visible()


def test_what_one_sees_is_in_the_file(visitor: Visitor, costs: Dataset, tmp_path: Path) -> None:
    page = visitor.open(GROUPED, level=ANALYST)
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV", exact=True).click()
    path = tmp_path / started.value.suggested_filename
    started.value.save_as(path)
    assert path.name == "costs-2026-10-01-2026-10-20.csv"
    with path.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    lines = page.locator("table.groups tbody tr, table.groups tfoot tr").all()
    shown = [
        (
            line.locator("th").inner_text(),
            line.locator("td data").first.get_attribute("value"),
            line.locator("td data").nth(1).get_attribute("value"),
        )
        for line in lines
    ]
    assert [(row[0], float(row[1]), float(row[2])) for row in rows] == [
        (name, float(cost or ""), float(before or "")) for name, cost, before in shown
    ]
    with page.expect_download() as started:
        page.get_by_role("link", name="XLSX", exact=True).click()
    assert started.value.suggested_filename.endswith(".xlsx")


def test_everything_works_without_javascript(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open("/explore/", javascript=False, level=ANALYST)
    page.get_by_label("Group by").select_option("Service")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="Effective cost by service")).to_be_visible()
    page.get_by_label("Add a filter").select_option("Region")
    page.get_by_role("button", name="Choose values").click()
    expect(page.get_by_role("heading", name="Filter by Region")).to_be_visible()
    page.get_by_label("Values of Region").fill("nor")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("checkbox", name=re.compile("^North")).check()
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.get_by_role("list", name="Filters")).to_contain_text("Region: North")
    page.get_by_role("link", name="Rows of Storage").click()
    expect(page.get_by_role("heading", name="Cost rows")).to_be_visible()
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("checkbox", name="Tags", exact=True).check()
    page.get_by_role("button", name="Show these columns").click()
    expect(page.get_by_role("columnheader", name="Tags")).to_be_visible()


def test_the_keyboard_reaches_everything(visitor: Visitor, costs: Dataset) -> None:
    page = visitor.open(GROUPED, level=ANALYST)
    reached: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.matches(':focus-visible')")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
        )
        if reached[-1].startswith("Rows of"):
            break
    for name in ("Explorer", "Views", "CSV", "metric", "group-2", "More options", "filter-by"):
        assert name in reached
    assert "sort-2" in reached


def test_a_question_without_an_answer_is_opened_as_a_page(
    visitor: Visitor, costs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visitor.open("/explore/")
    monkeypatch.setattr("finops.costs.explore._answers.get", _too_long)
    page.get_by_label("Group by").select_option("Service")
    expect(page.get_by_text("took longer than 5 s")).to_be_visible()
    assert_accessible(page)
    visitor.faults.clear()  # the browser itself writes the status 503 to the console


def _too_long(*_: object) -> None:
    raise QueryTooLong("The query took longer than 5 s and was stopped.")
