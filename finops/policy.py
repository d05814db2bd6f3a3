"""What a browser may do with a page of this product: load from here, nothing inline, no device."""

from collections.abc import Callable, Iterable

from csp.constants import NONE, SELF
from django.http import HttpRequest, HttpResponse

# Features of the browser that no page here needs, so that nothing slipped into one can use them.
_UNUSED = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "publickey-credentials-get",
    "screen-wake-lock",
    "serial",
    "usb",
)
PERMISSIONS_POLICY = ", ".join(f"{feature}=()" for feature in _UNUSED)


def permissions_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: tell the browser, with every answer, which of its features are switched off."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Permissions-Policy"] = PERMISSIONS_POLICY
        return response

    return answer


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
