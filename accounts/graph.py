"""What Microsoft Graph knows of a person: the account's state and all groups, nested ones too.

The application asks with its own permission (``User.Read.All``, ``GroupMember.Read.All``), so the
groups claim of a token, and its limit of 200, play no part. A failure is an error, never an empty
list: whoever gets a list may take a missing group for a lost right.
"""

import functools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import UUID

import msal
import structlog
from django.conf import settings
from django.utils.dateparse import parse_datetime

from accounts.credentials import (
    ClientCredential,
    ClientSecret,
    CredentialError,
    client_credential,
)
from accounts.discovery import graph_url as discovered_graph_url
from accounts.graph_errors import (
    GraphError,
    GraphForbidden,
    GraphMalformed,
    GraphThrottled,
    GraphUnavailable,
    GraphUserGone,
    error_for,
)
from accounts.reasons import Refused
from accounts.transport import Answer, BudgetRetry, Transport, Unreachable, budget

__all__ = [
    "GraphAPIClient",
    "GraphError",
    "GraphForbidden",
    "GraphMalformed",
    "GraphThrottled",
    "GraphUnavailable",
    "GraphUserGone",
    "GroupSource",
    "Membership",
    "forget",
    "graph_client",
]

logger = structlog.stdlib.get_logger("accounts.graph")

MAX_PAGES = 50  # of 999 groups each; the directory's own limit per person is far below


@dataclass(frozen=True)
class Membership:
    """What is true of a person now. ``group_oids`` are canonical and all there are."""

    group_oids: tuple[str, ...]
    enabled: bool = True
    sessions_valid_from: datetime | None = None


class GroupSource(Protocol):
    """Where memberships come from."""

    def membership(self, user_oid: str) -> Membership:
        """Return what is true now. Raises ``GraphError``."""


class GraphAPIClient:
    """Asks Microsoft Graph as the application. One per process: it keeps MSAL's token cache."""

    def __init__(
        self,
        client_id: str,
        client_secret: str | ClientCredential,
        tenant_id: str,
        *,
        graph_url: str = "https://graph.microsoft.com",
        authority_host: str = "https://login.microsoftonline.com",
    ) -> None:
        self._client_id = client_id
        self._credential: ClientCredential = (
            ClientSecret(client_secret) if isinstance(client_secret, str) else client_secret
        )
        self._authority = f"{authority_host}/{tenant_id}"
        self._configured_graph_url = graph_url.rstrip("/")
        self._lock = threading.Lock()
        self._application: Any = None

    def __repr__(self) -> str:
        return f"<GraphAPIClient {self._client_id}>"

    @property
    def _graph_url(self) -> str:
        """Where no setting says, the authority's discovery does: each cloud has a Graph."""
        try:
            return self._configured_graph_url or discovered_graph_url()
        except Refused as refusal:
            raise GraphUnavailable(f"discovery: {refusal.reason}") from None

    def membership(self, user_oid: str) -> Membership:
        """Return the account's state and all groups. Raises ``GraphError``.

        Takes ``settings.ENTRA_TIMEOUT`` seconds at most, waits for throttling included.
        """
        with budget(settings.ENTRA_TIMEOUT), Transport(retries=_RETRIES) as http:
            account = self._get(http, self._account_url(user_oid))
            if not isinstance(account.get("accountEnabled"), bool):
                raise GraphMalformed("the account's state is missing")
            groups = self._groups(http, user_oid) if account["accountEnabled"] else ()
        return Membership(groups, account["accountEnabled"], _sessions_valid_from(account))

    def get_user_groups(self, user_oid: str) -> list[str]:
        """Return the object ids of all groups, through other groups too. Raises ``GraphError``."""
        with budget(settings.ENTRA_TIMEOUT), Transport(retries=_RETRIES) as http:
            return list(self._groups(http, user_oid))

    def read(self, path: str) -> dict[str, Any]:
        """Return the object at ``path`` under ``/v1.0/``. Raises ``GraphError``."""
        with budget(settings.ENTRA_TIMEOUT), Transport(retries=_RETRIES) as http:
            return self._get(http, f"{self._graph_url}/v1.0/{path}")

    def _account_url(self, user_oid: str) -> str:
        select = "$select=id,accountEnabled,signInSessionsValidFromDateTime"
        return f"{self._graph_url}/v1.0/users/{UUID(user_oid)}?{select}"

    def _groups(self, http: Transport, user_oid: str) -> tuple[str, ...]:
        url = (
            f"{self._graph_url}/v1.0/users/{UUID(user_oid)}/transitiveMemberOf"
            "/microsoft.graph.group?$select=id&$top=999&$count=true"
        )
        found: dict[str, None] = {}
        for _page in range(MAX_PAGES):
            page = self._get(http, url)
            for oid in _ids(page):
                if oid in found:
                    raise GraphMalformed("a group came twice, so the pages do not fit together")
                found[oid] = None
            following = page.get("@odata.nextLink")
            if following is None:
                return tuple(found)
            url = self._pinned(following)
        raise GraphMalformed(f"more than {MAX_PAGES} pages of groups")

    def _pinned(self, link: object) -> str:
        """Return a page's next link. The token must not go where an answer points."""
        if isinstance(link, str):
            base, target = urlsplit(f"{self._graph_url}/v1.0/"), urlsplit(link)
            same_host = (target.scheme, target.netloc) == (base.scheme, base.netloc)
            if same_host and target.path.startswith(base.path) and "/.." not in target.path:
                return link
        raise GraphMalformed("the next page is not on the Graph host, under /v1.0/")

    def _get(self, http: Transport, url: str) -> dict[str, Any]:
        answer = self._ask(http, url)
        if answer.status_code == 401:
            # Revoked or rotated: the cached token is no good, a fresh one may be.
            self._drop_token()
            answer = self._ask(http, url)
        if answer.status_code != 200:
            raise error_for(answer)
        try:
            return answer.json_object()
        except ValueError as error:
            raise GraphMalformed(str(error)) from None

    def _ask(self, http: Transport, url: str) -> Answer:
        headers = {
            "Authorization": f"Bearer {self._get_access_token()}",
            "ConsistencyLevel": "eventual",  # what the cast to groups asks for
            "Accept": "application/json",
            "x-ms-throttle-priority": "High",  # a person is waiting
        }
        try:
            return http.get(url, headers=headers)
        except Unreachable as error:
            raise GraphUnavailable(str(error)) from None

    def _get_access_token(self) -> str:
        try:
            result = self._app().acquire_token_for_client([f"{self._graph_url}/.default"])
        except CredentialError as error:
            raise GraphForbidden(f"no token for Graph: {error}") from None
        except (Unreachable, ValueError, OSError) as error:
            raise GraphUnavailable(f"no token for Graph: {type(error).__name__}") from None
        token = result.get("access_token")
        if isinstance(token, str):
            return token
        # The description of an error may quote what was sent; its code says enough.
        code = str(result.get("error", "unknown"))[:64]
        if code in {"temporarily_unavailable", "server_error"}:
            raise GraphUnavailable(f"no token for Graph: {code}")
        raise GraphForbidden(f"no token for Graph: {code}")

    def _drop_token(self) -> None:
        self._app().remove_tokens_for_client()

    def _app(self) -> Any:
        # Built at the first use: the constructor itself asks the network.
        with self._lock:
            if self._application is None:
                self._application = msal.ConfidentialClientApplication(
                    self._client_id,
                    client_credential=self._credential.for_msal(),
                    authority=self._authority,
                    instance_discovery=False,
                    http_client=_ForMsal(),
                )
            return self._application


class _ForMsal:
    """The HTTP client that MSAL keeps: it asks for a token once an hour, so no connection stays."""

    def get(self, url: str, **options: Any) -> Answer:
        with Transport() as http:
            return http.get(url, **options)

    def post(self, url: str, **options: Any) -> Answer:
        with Transport() as http:
            return http.post(url, **options)

    def close(self) -> None:
        """Nothing is open."""


_RETRIES = BudgetRetry(
    total=4,
    connect=1,
    read=1,
    status_forcelist=[429, 502, 503, 504],
    allowed_methods={"GET"},
    backoff_factor=0.3,
    backoff_jitter=0.2,
    raise_on_status=False,
)


def _ids(page: Mapping[str, Any]) -> list[str]:
    items = page.get("value")
    if not isinstance(items, list):
        raise GraphMalformed("a page of groups has no list")
    try:
        return [str(UUID(item["id"])) for item in items]
    except (TypeError, KeyError, ValueError, AttributeError):
        raise GraphMalformed("a group has no object id") from None


def _sessions_valid_from(account: Mapping[str, Any]) -> datetime | None:
    value = account.get("signInSessionsValidFromDateTime")
    if value is None:
        return None
    try:
        parsed = parse_datetime(value)
    except (TypeError, ValueError):
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise GraphMalformed("the date from which sessions are valid is none")
    return parsed


def graph_client() -> GraphAPIClient:
    """Return the process's client for the settings as they are."""
    return _client(
        settings.ENTRA_CLIENT_ID,
        client_credential(),
        settings.ENTRA_TENANT_ID,
        settings.GRAPH_URL,
        settings.ENTRA_AUTHORITY_HOST,
    )


@functools.lru_cache(maxsize=4)
def _client(
    client_id: str,
    credential: ClientCredential,
    tenant_id: str,
    graph_url: str,
    authority_host: str,
) -> GraphAPIClient:
    return GraphAPIClient(
        client_id, credential, tenant_id, graph_url=graph_url, authority_host=authority_host
    )


def forget() -> None:
    """Drop the client and its tokens."""
    _client.cache_clear()
