"""The pictures of the documentation: ``make screenshots`` runs the demo and takes them anew.

They show the made-up company's generated charges, as whoever runs the demo sees them.
"""

import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page

from sandbox.parts import ROOT
from tests.e2e.chromium import chromium
from tests.e2e.conftest import Demo, start_demo, stop_demo

FOLDER = ROOT / "docs" / "images"
ROWS = 5_000
EXPLORER = "/explore/?group=service_name&period=6-months&compare=period"


@dataclass(frozen=True)
class Shot:
    """One picture: a page as Ada, who may see everything, sees it."""

    name: str
    path: str
    width: int = 1440
    height: int = 1000
    dark: bool = False


SHOTS = (
    Shot("overview", "/"),
    Shot("overview-dark", "/", dark=True),
    Shot("overview-phone", "/", width=380, height=820),
    Shot("explorer", EXPLORER),
    Shot("data", "/data/"),
    Shot("flow", "/admin/replication/flow/", height=900),
)


def main() -> None:
    """Take every picture."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="finops-screenshots-") as folder:
        options = ("--data", "generated", "--rows", str(ROWS))
        demo = start_demo(Path(folder) / "state", *options, timeout=600)
        try:
            with chromium() as browser:
                for shot in SHOTS:
                    take(browser, demo, shot)
        finally:
            stop_demo(demo, signal.SIGTERM)


def take(browser: Browser, demo: Demo, shot: Shot) -> None:
    """Sign in, open the page and write the picture."""
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height},
        color_scheme="dark" if shot.dark else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    sign_in(page, demo)
    page.goto(f"{demo.url}{shot.path}")
    if shot.path.startswith("/admin/"):
        page.locator("#result_list tbody th a").first.click()
    page.evaluate("document.fonts.ready.then(() => true)")
    target = FOLDER / f"{shot.name}.png"
    page.screenshot(path=target)
    context.close()
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size:,} bytes")


def sign_in(page: Page, demo: Demo) -> None:
    """Walk through the demo's sign-in as its administrator."""
    page.goto(demo.url)
    page.get_by_text("Sign in with Microsoft").click()
    page.get_by_role("button").filter(has_text="Ada").click()
    page.wait_for_url(f"{demo.url}/**")


if __name__ == "__main__":
    main()
