"""The sign-in pages in a real browser: policy, accessibility, keyboard, phone, no script."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.e2e.chromium import chromium
from tests.sandbox.entra_fixtures import Entra, SignIn
from tests.waiting import wait_until

pytestmark = pytest.mark.browser


class Application:
    """The web application, as far as a browser's way through the sign-in pages needs it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                body = b"<!doctype html><title>Costs</title><link rel=icon href=data:,>"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_address[1]}"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def application() -> Iterator[Application]:
    found = Application()
    thread = threading.Thread(
        target=found.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


@pytest.fixture
def page(chrome: Browser) -> Iterator[Page]:
    """A phone's window, in which no page may break its policy or write to the console."""
    faults: list[str] = []
    with chrome.new_context(viewport={"width": 380, "height": 800}) as context:
        found = context.new_page()
        found.on("console", lambda message: faults.append(message.text))
        found.on("pageerror", lambda error: faults.append(str(error)))
        yield found
    # The browser's own entry for a page whose status is 403, as a refusal's is.
    assert [fault for fault in faults if "status of 403" not in fault] == []


def sign_in_url(entra: Entra, application: Application, **changes: str) -> str:
    with requests.Session() as session:
        return SignIn(entra, session, redirect_uri=f"{application.url}/oidc/callback/").url(
            **changes
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible(
    entra: Entra, application: Application, page: Page, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")

    page.goto(sign_in_url(entra, application))
    picking = Axe().run(page)
    page.get_by_role("button", name="Hal Whitfield").click()
    refused = Axe().run(page)
    page.get_by_role("link", name="Pick another person").click()
    page.get_by_role("button", name="Cancel and go back").wait_for()
    page.goto(entra.addresses.logout)
    signed_out = Axe().run(page)

    for result in (picking, refused, signed_out):
        assert result.violations_count == 0, result.generate_report()


def test_a_phone_shows_everybody_without_scrolling_sideways(
    entra: Entra, application: Application, page: Page
) -> None:
    page.goto(sign_in_url(entra, application))

    assert page.get_by_role("button").count() == 9
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_keyboard_is_enough_to_sign_in(
    entra: Entra, application: Application, page: Page
) -> None:
    page.goto(sign_in_url(entra, application))

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    page.wait_for_url(f"{application.url}/oidc/callback/?code=*")
    assert "/oidc/callback/?code=" in application.asked[0]


def test_signing_out_tells_the_application_and_leads_back(
    entra: Entra, application: Application, page: Page
) -> None:
    entra.control.register(front_channel_url=f"{application.url}/front-channel/")
    page.goto(sign_in_url(entra, application))
    page.get_by_role("button", name="Cleo Marchetti").click()
    page.wait_for_url(f"{application.url}/oidc/callback/?code=*")

    page.goto(
        f"{entra.addresses.logout}?post_logout_redirect_uri={application.url}/signed-out/",
        wait_until="commit",
    )

    page.wait_for_url(f"{application.url}/signed-out/")
    wait_until(
        lambda: any(path.startswith("/front-channel/?sid=") for path in application.asked),
        what="the front-channel call",
    )
    page.goto(sign_in_url(entra, application))
    assert page.get_by_text("Pick a person.").is_visible()
