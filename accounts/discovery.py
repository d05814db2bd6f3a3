"""Entra ID's endpoints, as its discovery document names them, after checking that they are its own.

One code path for every cloud: hosts differ, and the document tells. It is believed only where it
agrees with the configured authority and tenant.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings

from accounts.config import build_metadata_url
from accounts.reasons import Reason, Refused
from accounts.transport import Transport, Unreachable

logger = structlog.stdlib.get_logger("accounts.discovery")

MAX_AGE = 3600.0  # seconds after which the document is fetched again
# Graph gets tokens that read the directory, so a document cannot name just any host for it.
GRAPH_HOSTS = frozenset(
    {
        "graph.microsoft.com",
        "graph.microsoft.us",
        "dod-graph.microsoft.us",
        "microsoftgraph.chinacloudapi.cn",
    }
)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class UntrustedDocument(ValueError):
    """The discovery document contradicts the configuration. The message says where."""


@dataclass(frozen=True)
class Endpoints:
    """Where to send people and requests. Every one but Graph is on the authority's host."""

    issuer: str
    authorization: str
    token: str
    keys: str
    end_session: str
    graph_host: str = ""  # "" where the document names none that we know


def read_endpoints(
    document: dict[str, Any], *, authority_host: str, tenant_id: str, sandbox: bool
) -> Endpoints:
    """Check a discovery document. Raises ``UntrustedDocument``.

    While ``sandbox`` is true, the two pages that a browser opens may be plain HTTP on loopback: a
    generated certificate would make every browser warn.
    """
    issuer = document.get("issuer")
    expected = f"{authority_host}/{tenant_id}/v2.0"
    if issuer != expected:
        raise UntrustedDocument(f"issuer is {issuer!r}; expected {expected!r}")

    def endpoint(name: str, *, for_browsers: bool = False) -> str:
        value = document.get(name)
        if isinstance(value, str):
            found, ours = urlsplit(value), urlsplit(authority_host)
            if (found.scheme, found.netloc) == ("https", ours.netloc):
                return value
            if sandbox and for_browsers and found.hostname in LOOPBACK:
                return value
        raise UntrustedDocument(f"{name} is {value!r}; expected an https address on {expected}")

    return Endpoints(
        issuer=expected,
        authorization=endpoint("authorization_endpoint", for_browsers=True),
        token=endpoint("token_endpoint"),
        keys=endpoint("jwks_uri"),
        end_session=endpoint("end_session_endpoint", for_browsers=True),
        graph_host=host if (host := document.get("msgraph_host")) in GRAPH_HOSTS else "",
    )


class DiscoveryCache:
    """One authority's endpoints, fetched when first needed, kept for an hour and while it fails."""

    def __init__(
        self, fetch: Callable[[], Endpoints], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._endpoints: Endpoints | None = None
        self._fetched_at = 0.0

    def get(self) -> Endpoints:
        """Return them. Raises ``UntrustedDocument``, and ``Unreachable`` when none are known."""
        with self._lock:
            now = self._clock()
            if self._endpoints is None or now - self._fetched_at > MAX_AGE:
                try:
                    self._endpoints = self._fetch()
                except Unreachable:
                    if self._endpoints is None:
                        raise
                    logger.warning("discovery_kept")
                self._fetched_at = now
            return self._endpoints


_caches: dict[tuple[str, str, bool], DiscoveryCache] = {}


def endpoints() -> Endpoints:
    """Return the configured authority's endpoints. Raises ``Refused``; the log says why."""
    key = (settings.ENTRA_AUTHORITY_HOST, settings.ENTRA_TENANT_ID, settings.SANDBOX)
    cache = _caches.setdefault(key, DiscoveryCache(lambda: _fetch(*key)))
    try:
        return cache.get()
    except Unreachable as error:
        logger.warning("discovery_failed", error=str(error))
        raise Refused(Reason.ENTRA_UNREACHABLE) from None
    except UntrustedDocument as error:
        logger.error("discovery_untrusted", error=str(error))  # noqa: TRY400 - the message is all
        raise Refused(Reason.ENTRA_UNTRUSTED) from None


def graph_url() -> str:
    """Return Microsoft Graph's address in the configured authority's cloud. Raises ``Refused``."""
    host = endpoints().graph_host
    if not host:
        logger.error("graph_not_discovered", hint="Set GRAPH_URL.")
        raise Refused(Reason.ENTRA_UNTRUSTED)
    return f"https://{host}"


def forget() -> None:
    """Drop what is cached."""
    _caches.clear()


def _fetch(authority_host: str, tenant_id: str, sandbox: bool) -> Endpoints:
    with Transport() as http:
        answer = http.get(build_metadata_url(tenant_id, authority_host=authority_host))
    if answer.status_code != 200:
        raise Unreachable(f"discovery answered {answer.status_code}")
    try:
        document = answer.json_object()
    except ValueError as error:
        raise UntrustedDocument(str(error)) from None
    return read_endpoints(
        document, authority_host=authority_host, tenant_id=tenant_id, sandbox=sandbox
    )
