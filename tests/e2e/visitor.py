"""A browser that opens pages as somebody, and knows whether one of them broke a rule."""

import gzip

from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, Response

from accounts.levels import PermissionLevel
from tests.finops.people import sign_in

_RECORD = """
window.violations = [];
window.shift = 0;
document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective));
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) { window.shift += entry.value; }
}).observe({type: "layout-shift", buffered: true});
"""


class Visitor:
    """Opens pages of the site at ``address``.

    ``faults`` has what no page may do: break the Content-Security-Policy, write to the console,
    raise an error, or ask another host for anything.
    """

    def __init__(self, browser: Browser, address: str) -> None:
        self.faults: list[str] = []
        self._responses: list[Response] = []
        self._browser = browser
        self._address = address
        self._contexts: list[BrowserContext] = []

    def open(
        self,
        path: str = "/",
        *,
        level: PermissionLevel | None = PermissionLevel.VIEWER,
        width: int = 1440,
        javascript: bool = True,
    ) -> Page:
        """Open ``path`` in a window of its own, signed in unless ``level`` is None."""
        context = self._browser.new_context(
            viewport={"width": width, "height": 900},
            java_script_enabled=javascript,
            reduced_motion="reduce",  # colours half way between two are not what is tested
        )
        self._contexts.append(context)
        if level is not None:
            key = sign_in(Client(), level).session.session_key or ""
            context.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": self._address}]
            )
        page = context.new_page()
        page.add_init_script(_RECORD)
        page.on("pageerror", lambda error: self.faults.append(f"{path}: {error}"))
        page.on("console", lambda message: self.faults.append(f"{path}: {message.text}"))
        page.on("response", self._keep)
        page.goto(f"{self._address}{path}")
        if javascript:
            page.evaluate("document.fonts.ready.then(() => true)")
        return page

    def _keep(self, response: Response) -> None:
        self._responses.append(response)

    def weight(self) -> int:
        """The bytes of everything that was loaded, as a server that compresses sends it."""
        return sum(_weight(response) for response in self._responses)

    def close(self) -> None:
        """Collect what the pages recorded, and close them."""
        for context in self._contexts:
            for page in context.pages:
                self.faults += page.evaluate("window.violations ?? []")
            context.close()
        self.faults += [
            f"request to another host: {response.url}"
            for response in self._responses
            if not response.url.startswith(f"{self._address}/")
        ]


def _weight(response: Response) -> int:
    body = response.body()
    return len(body) if response.url.endswith(".woff2") else len(gzip.compress(body))
