"""Graph's pages: ``$top``, an opaque ``$skiptoken``, and an absolute ``@odata.nextLink``."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from sandbox.entra.errors import GraphError
from sandbox.entra.exchange import Request
from sandbox.entra.tenant import Tenant

DEFAULT_PAGE, LARGEST_PAGE = 100, 999
_SEAL = 12  # bytes


def page_of(
    tenant: Tenant, request: Request, rows: Sequence[dict[str, object]], *, context: str
) -> dict[str, object]:
    """The page of ``rows`` that the request asks for. Raises ``GraphError``."""
    query = request.query
    size = _page_size(query.get("$top"))
    token = query.get("$skiptoken")
    start = unseal(tenant.page_key, request.path, token) if token is not None else 0
    page: dict[str, object] = {
        "@odata.context": f"{tenant.addresses.graph}/v1.0/$metadata#{context}"
    }
    if token is None and query.get("$count", "").lower() == "true":
        page["@odata.count"] = len(rows)
    if start + size < len(rows):
        following = query | {"$skiptoken": seal(tenant.page_key, request.path, start + size)}
        parameters = urlencode(following, safe="$,", quote_via=quote)
        # The configured host, never the request's: a next link must lead back to this Graph.
        page["@odata.nextLink"] = f"{tenant.addresses.tls}{quote(request.path)}?{parameters}"
    page["value"] = list(rows[start : start + size])
    return page


def _page_size(top: str | None) -> int:
    if top is None:
        return DEFAULT_PAGE
    if not top.isascii() or not top.isdigit() or not 1 <= int(top) <= LARGEST_PAGE:
        raise GraphError(
            400,
            "Request_BadRequest",
            f"Invalid page size specified: '{top[:20]}'. Must be between 1 and 999 inclusive.",
        )
    return int(top)


def seal(key: bytes, path: str, start: int) -> str:
    """A token for the rows of ``path`` from ``start`` on, which only ``key`` can make."""
    content = str(start).encode()
    return urlsafe_b64encode(_mac(key, path, content) + content).decode()


def unseal(key: bytes, path: str, token: str) -> int:
    """The start that ``token`` stands for. Raises ``GraphError`` for an invented one."""
    try:
        raw = urlsafe_b64decode(token)
    except ValueError:
        raw = b""
    seal, content = raw[:_SEAL], raw[_SEAL:]
    if not hmac.compare_digest(seal, _mac(key, path, content)):
        raise GraphError(
            400, "Directory_ExpiredPageToken", "The specified page token value has expired."
        )
    return int(content)


def _mac(key: bytes, path: str, content: bytes) -> bytes:
    return hmac.digest(key, path.encode() + b"\0" + content, hashlib.sha256)[:_SEAL]
