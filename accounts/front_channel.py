"""Front-channel logout: somebody signs out at Entra ID, and is signed out here too.

Entra opens this address in a frame of its own sign-out page. Browsers send no cookie of ours along,
so the session is found by what Entra calls it. Everybody gets the same answer, whether there was
such a session or not.
"""

from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET

from accounts import session_index
from accounts.guard import public
from accounts.rate_limits import is_within

MAX_SID: Final = 256  # characters
_PAGE: Final = "<!doctype html><title>Signed out</title><p>Signed out."


@public
@never_cache
@csrf_exempt
@xframe_options_exempt
@require_GET
def front_channel_logout(request: HttpRequest) -> HttpResponse:
    """End the sessions that came from Entra's ``sid``. Answers the same to everybody."""
    sid, issuer = request.GET.get("sid", ""), request.GET.get("iss")
    ours = f"{settings.ENTRA_AUTHORITY_HOST}/{settings.ENTRA_TENANT_ID}/v2.0"
    is_meant = 0 < len(sid) <= MAX_SID and issuer in {None, ours}
    if is_meant and is_within("front-channel", request):
        session_index.end_all(sid)
    framers = " ".join([settings.ENTRA_AUTHORITY_HOST, *settings.SIGN_IN_FORM_HOSTS])
    policy = f"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors {framers}"
    return HttpResponse(_PAGE, headers={"Content-Security-Policy": policy})
