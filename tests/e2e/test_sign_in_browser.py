"""A newcomer's first minute, in a real browser: sign in through the fake Entra, read the totals."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.chromium import chromium
from tests.e2e.conftest import Demo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def hosts() -> set[str]:
    """Every host and port that the page asked anything of."""
    return set()


@pytest.fixture
def page(browser: Browser, hosts: set[str]) -> Iterator[Page]:
    """A page that fails the test for anything its console complains of."""
    context: BrowserContext = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    yield page
    context.close()
    assert complaints == []


def sign_in(page: Page, demo: Demo, person: str) -> None:
    page.goto(demo.url)
    page.get_by_role("link", name="Sign in with Microsoft").or_(
        page.get_by_role("button", name="Sign in with Microsoft")
    ).click()
    page.get_by_role("button", name=person).click()
    expect(page.get_by_role("heading", name="Cost overview")).to_be_visible()


def test_a_newcomer_signs_in_and_reads_the_totals(page: Page, demo: Demo, hosts: set[str]) -> None:
    sign_in(page, demo, "Cleo Marchetti")
    main = page.get_by_role("main")
    for shown in ("$20.52", "$14.98", "$20.39"):
        expect(main.get_by_text(shown, exact=True).first).to_be_visible()
    for exact in ("20.52022672899", "14.97651418586", "20.39090575119"):
        expect(main.get_by_text(f"exactly {exact}").first).to_be_visible()
    assert hosts == {
        urlsplit(demo.url).netloc,
        urlsplit(demo.environment["SIGN_IN_FORM_HOSTS"]).netloc,
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_real_page_has_no_accessibility_violation(page: Page, demo: Demo, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(demo.url)
    assert Axe().run(page).violations_count == 0
    page.get_by_text("Sign in with Microsoft").click()
    assert Axe().run(page).violations_count == 0
    page.get_by_role("button", name="Ben Okafor").click()
    expect(page.get_by_role("heading", name="Cost overview")).to_be_visible()
    report = Axe().run(page)
    assert report.violations_count == 0, report.generate_report()


def test_the_page_is_readable_on_a_phone(page: Page, demo: Demo) -> None:
    page.set_viewport_size({"width": 380, "height": 800})
    sign_in(page, demo, "Cleo Marchetti")
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    expect(page.get_by_text("$20.52", exact=True).first).to_be_in_viewport()


def test_signing_out_ends_the_session_here_and_at_entra(page: Page, demo: Demo) -> None:
    sign_in(page, demo, "Cleo Marchetti")
    page.get_by_role("button", name="Sign out").first.click()
    # Entra's own page says "Signed out" too, and leads on from there.
    page.wait_for_url(f"{demo.url}/signed-out/")
    expect(page.get_by_role("heading", name="Signed out")).to_be_visible()
    page.goto(demo.url)
    expect(page.get_by_text("Sign in with Microsoft")).to_be_visible()


def test_the_admin_works_under_the_same_policy(page: Page, demo: Demo) -> None:
    sign_in(page, demo, "Ada Lindgren")
    for path in ("", "replication/flow/", "accounts/groupmapping/", "finops/dataset/"):
        answer = page.goto(f"{demo.url}/admin/{path}")
        assert answer
        assert answer.status == 200
