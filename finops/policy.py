"""What a browser may do with a page of this product: load from here, and nothing inline."""

from collections.abc import Iterable

from csp.constants import NONE, SELF


def content_security_policy(*, form_hosts: Iterable[str]) -> dict[str, list[str]]:
    """Return the directives of every page. ``form_hosts`` may be where a form's answer leads."""
    return {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        # Browsers apply this to where a form's answer redirects to: sign-out ends at Entra.
        "form-action": [SELF, *form_hosts],
    }
