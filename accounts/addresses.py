"""Which address a request came from, as far as it can be known.

``X-Forwarded-For`` is written by anybody: only what our own proxies appended to it counts, and
``TRUSTED_PROXY_COUNT`` says how many there are.
"""

from ipaddress import IPv6Address, ip_address
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """Return the address that a limit or a record goes by; None where there is none (a socket)."""
    candidate = request.META.get("REMOTE_ADDR", "")
    proxies = settings.TRUSTED_PROXY_COUNT
    if proxies:
        forwarded = request.headers.get("X-Forwarded-For", "").split(",")
        # The last of our proxies appended who spoke to it, and so on to the left.
        candidate = forwarded[-proxies] if len(forwarded) >= proxies else candidate
    try:
        return str(ip_address(candidate.strip()))
    except ValueError:
        return None


def network_of(address: str) -> str:
    """Return what one visitor cannot easily leave: an IPv4 address, or an IPv6 network of 64."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else parsed.exploded[:19]
    return address


def bind_address(request: HttpRequest, **_signal: Any) -> None:
    """Put the address into every log line and record of this request.

    django-structlog's own would be the first of ``X-Forwarded-For``, which a visitor chooses.
    """
    structlog.contextvars.bind_contextvars(ip=client_address(request))
