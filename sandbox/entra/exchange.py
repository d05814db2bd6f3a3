"""One HTTP request and its answer, as plain values, so that endpoints are plain functions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

# Answers of a sign-in service are never kept by anybody on the way.
_ALWAYS = {"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff"}


class UnreadableRequest(ValueError):
    """The request's parameters or body are not what its content type says."""


@dataclass(frozen=True)
class Request:
    """A request that arrived whole. ``params`` are the variable parts of the path."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes = field(default=b"", repr=False)
    params: Mapping[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """The header's value; empty where it is missing."""
        return self.headers.get(name.lower(), "")

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters. Raises ``UnreadableRequest`` for one that is given twice."""
        return _parameters(self.query_string)

    @property
    def form(self) -> dict[str, str]:
        """The body's parameters. Raises ``UnreadableRequest`` for another content type."""
        content_type = self.header("content-type").partition(";")[0].strip().lower()
        if content_type != "application/x-www-form-urlencoded":
            raise UnreadableRequest(
                f"The content type is {content_type!r}; "
                "expected 'application/x-www-form-urlencoded'."
            )
        try:
            return _parameters(self.body.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise UnreadableRequest("The body is not UTF-8.") from error

    def json(self) -> dict[str, object]:
        """The body's JSON object; an empty body is an empty one. Raises ``UnreadableRequest``."""
        if not self.body:
            return {}
        try:
            content = json.loads(self.body)
        except ValueError as error:
            raise UnreadableRequest("The body is not JSON.") from error
        if not isinstance(content, dict):
            raise UnreadableRequest("The body is not a JSON object.")
        return content

    def cookie(self, name: str) -> str:
        """The cookie's value; empty where it is missing or the header is unreadable."""
        try:
            cookies = SimpleCookie(self.header("cookie"))
        except CookieError:
            return ""
        return cookies[name].value if name in cookies else ""


@dataclass(frozen=True)
class Response:
    """An answer, with the headers that every answer of this service has."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def json(
        cls, content: object, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> "Response":
        """``content`` as JSON."""
        body = json.dumps(content, ensure_ascii=False).encode()
        return cls(status, "application/json; charset=utf-8", body, _ALWAYS | dict(headers or {}))

    def parsed(self) -> dict[str, object]:
        """The JSON object that the body holds."""
        content: dict[str, object] = json.loads(self.body)
        return content

    @classmethod
    def html(
        cls, page: str, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> "Response":
        """A page."""
        return cls(status, "text/html; charset=utf-8", page.encode(), _ALWAYS | dict(headers or {}))

    @classmethod
    def redirect(cls, url: str, *, headers: Mapping[str, str] | None = None) -> "Response":
        """Go there by GET."""
        more = {"Location": url, **(headers or {})}
        return cls(303, "text/plain; charset=utf-8", b"", _ALWAYS | more)


def _parameters(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=100, errors="strict")
    except ValueError as error:
        raise UnreadableRequest("The parameters cannot be decoded.") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise UnreadableRequest(f"The parameter {name!r} is given more than once.")
        found[name] = value
    return found
