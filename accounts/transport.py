"""HTTPS to Entra ID and Microsoft Graph: one budget of time, one trust anchor, no redirects."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, MaxRetryError, ResponseError
from urllib3.util import Retry, Timeout

MAX_BODY = 10 * 1024 * 1024  # bytes; 999 groups with their ids take 0.1 MB


class Unreachable(Exception):
    """No whole answer came in time. The message names the host and the kind of failure only."""


_deadline: ContextVar[float | None] = ContextVar("accounts_transport_deadline", default=None)


@contextmanager
def budget(seconds: float) -> Iterator[None]:
    """Let all calls inside take ``seconds`` together. A budget never lengthens the one around."""
    end = time.monotonic() + seconds
    outer = _deadline.get()
    token = _deadline.set(end if outer is None else min(end, outer))
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining() -> float:
    """Return the seconds left of the budget around this call; infinite without one."""
    deadline = _deadline.get()
    return math.inf if deadline is None else deadline - time.monotonic()


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer. Its names are those that MSAL expects of a response."""

    status_code: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The body as text, with what is not UTF-8 replaced."""
        return self.body.decode("utf-8", errors="replace")

    def json_object(self) -> dict[str, Any]:
        """Return the body's JSON object. Raises ``ValueError`` when it is not one."""
        try:
            value = json.loads(self.body)
        except ValueError:
            # The decoder's message quotes the document, which may hold a token.
            raise ValueError("the answer is not JSON") from None
        except RecursionError:
            raise ValueError("the answer's JSON is nested too deeply") from None
        if not isinstance(value, dict):
            raise ValueError("the answer is not a JSON object")  # noqa: TRY004 - one kind for callers
        return value

    def raise_for_status(self) -> None:
        """Raise ``requests.HTTPError``, which names the status only, for 400 and above."""
        if self.status_code >= 400:
            raise requests.HTTPError(f"HTTP status {self.status_code}")


class _BudgetTimeout(Timeout):
    """Gives every attempt, a retry too, what is left of the budget at its start."""

    def clone(self) -> Timeout:
        left = max(remaining(), 0.001)
        return Timeout(connect=left, read=left, total=left)


class BudgetRetry(Retry):
    """Waits as a throttling server asks, but not beyond the budget: then its answer stands."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> Self:
        """Return the policy for the next attempt. Raises ``MaxRetryError`` when time is short."""
        following = super().increment(method, url, response, error, _pool, _stacktrace)
        wait = (self.get_retry_after(response) if response is not None else None) or 0.0
        if max(wait, following.get_backoff_time()) >= remaining():
            raise MaxRetryError(_pool, url or "", error or ResponseError("no time for a retry"))
        return following


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stop requests from putting a password of ~/.netrc in place of our Authorization header."""
    return request


class Transport:
    """A connection pool for one piece of work. Use it as a context manager."""

    def __init__(self, *, retries: Retry | int = 0) -> None:
        self._session = requests.Session()
        self._session.auth = _keep_headers
        self._session.mount("https://", HTTPAdapter(max_retries=retries))
        self._session.mount("http://", HTTPAdapter(max_retries=retries))

    def __enter__(self) -> "Transport":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._session.close()

    def get(self, url: str, **options: Any) -> Answer:
        """GET. Raises ``Unreachable``."""
        return self._request("GET", url, options)

    def post(self, url: str, **options: Any) -> Answer:
        """POST. Raises ``Unreachable``."""
        return self._request("POST", url, options)

    def _request(self, method: str, url: str, options: dict[str, Any]) -> Answer:
        with budget(settings.ENTRA_TIMEOUT):
            try:
                if remaining() <= 0:
                    raise requests.Timeout
                response = self._session.request(
                    method,
                    url,
                    params=options.get("params"),
                    data=options.get("data"),
                    headers=options.get("headers"),
                    timeout=_BudgetTimeout(),  # type: ignore[arg-type]  # requests takes urllib3's
                    allow_redirects=False,
                    # Given with every call: requests lets REQUESTS_CA_BUNDLE win over a session's.
                    verify=settings.ENTRA_CA_FILE or True,
                    stream=True,
                )
                body = _read(response)
            except (requests.RequestException, HTTPError, OSError) as error:
                host = urlsplit(url).hostname
                raise Unreachable(f"{host} did not answer: {type(error).__name__}") from error
        return Answer(response.status_code, response.headers, body)


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    read_some: Callable[..., bytes] = response.raw.read1
    with ExitStack() as unless_read:
        unless_read.callback(response.close)
        # As much as has arrived at a time: a server that drips must not hold us past the budget.
        while chunk := read_some(65536, decode_content=True):
            body += chunk
            if len(body) > MAX_BODY:
                raise requests.exceptions.ContentDecodingError("the answer is too long")
            if remaining() <= 0:
                raise requests.Timeout
        unless_read.pop_all()
    response.raw.release_conn()
    return bytes(body)
