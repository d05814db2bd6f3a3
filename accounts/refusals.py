"""The one page that every refusal ends on: what happened, what to do, and two codes."""

from urllib.parse import urlencode, urlsplit

import structlog
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.reasons import Reason, explain
from accounts.resending import ask_and_keep

MAX_NEXT = 2000  # characters


def refuse(request: HttpRequest, reason: Reason) -> HttpResponse:
    """Return the page that explains ``reason``, with its status."""
    explanation = explain(reason)
    context = {
        "explanation": explanation,
        "reason": reason.value,
        "correlation_id": structlog.contextvars.get_contextvars().get("request_id", ""),
    }
    response = render(request, "accounts/refused.html", context, status=explanation.status)
    response["Cache-Control"] = "no-store"
    return response


def ask_to_sign_in(request: HttpRequest, reason: Reason = Reason.SESSION_ENDED) -> HttpResponse:
    """Lead a person without a session to the sign-in page, and back afterwards.

    A part of a page gets 401 and the address in ``HX-Redirect``: a redirect would show a sign-in
    page inside another. A form gets 401 and a page that keeps what was typed.
    """
    if is_page(request):
        return redirect(sign_in_url(request.get_full_path()))
    if request.method == "POST" and not _is_htmx(request):
        response = ask_and_keep(request, reason)
    else:
        response = refuse(request, reason)
        response.status_code = 401
    page = urlsplit(request.headers.get("HX-Current-URL", ""))
    response["HX-Redirect"] = sign_in_url(f"{page.path}?{page.query}" if page.query else page.path)
    return response


def is_page(request: HttpRequest) -> bool:
    """Return whether a browser asks for a whole page, so that a redirect leads a person on."""
    mode = request.headers.get("Sec-Fetch-Mode", "navigate")
    return request.method in {"GET", "HEAD"} and not _is_htmx(request) and mode == "navigate"


def sign_in_url(next_path: str) -> str:
    """Return the sign-in page's address, which leads on to ``next_path`` if that is ours."""
    query = urlencode({"next": next_path}) if safe_path(next_path) != "/" else ""
    return reverse("accounts:login") + (f"?{query}" if query else "")


def safe_path(candidate: str | None) -> str:
    """Return ``candidate`` when it is a path on this site, else "/"."""
    if (
        candidate
        and len(candidate) <= MAX_NEXT
        and candidate.startswith("/")
        and url_has_allowed_host_and_scheme(candidate, allowed_hosts=None)
    ):
        return candidate
    return "/"


def _is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"
