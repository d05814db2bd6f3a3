"""Refusals, in the shapes that Entra and Graph give them.

EntraError
├── SignInRefused      shown on a page, never sent to the application (the redirect is not trusted)
├── SignInFailed       sent back to the application's redirect URI
└── TokenRefused       the token endpoint's JSON
GraphError             Graph's JSON
BadRequest             a request that no endpoint can read; control calls answer with it too
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sandbox.entra.exchange import Request, Response


class EntraError(Exception):
    """A refusal with Entra's number. ``error`` is OAuth's word for it."""

    def __init__(self, number: int, error: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"AADSTS{number}: {message}")
        self.number = number
        self.error = error
        self.status = status

    def response(self, request: Request) -> Response:
        """The refusal as the token endpoint's JSON, with the caller's correlation id."""
        trace_id, correlation_id = str(uuid4()), correlation_id_of(request)
        timestamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        return Response.json(
            {
                "error": self.error,
                "error_description": f"{self} Trace ID: {trace_id} "
                f"Correlation ID: {correlation_id} Timestamp: {timestamp}",
                "error_codes": [self.number],
                "timestamp": timestamp,
                "trace_id": trace_id,
                "correlation_id": correlation_id,
            },
            status=self.status,
        )


class SignInRefused(EntraError):
    """A sign-in that ends on a page of Entra's, because nothing may be sent to the application."""


class SignInFailed(EntraError):
    """A sign-in whose failure the application is told by its redirect URI."""


class TokenRefused(EntraError):
    """The token endpoint gives no token."""


class GraphError(Exception):
    """Graph's refusal: its code, its message, and the HTTP status."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})

    def response(self, request: Request) -> Response:
        """The refusal as Graph's JSON, with a request id."""
        request_id = str(uuid4())
        return Response.json(
            {
                "error": {
                    "code": self.code,
                    "message": str(self),
                    "innerError": {
                        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
                        "request-id": request_id,
                        "client-request-id": correlation_id_of(request),
                    },
                }
            },
            status=self.status,
            headers={"request-id": request_id, **self.headers},
        )


class BadRequest(Exception):
    """The request cannot be read: says what was found and what is expected."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status

    def response(self, request: Request) -> Response:
        """The refusal as plain JSON."""
        return Response.json({"error": str(self), "path": request.path}, status=self.status)


def correlation_id_of(request: Request) -> str:
    """The caller's ``client-request-id`` where it is a UUID, else a new one."""
    try:
        return str(UUID(request.header("client-request-id")))
    except ValueError:
        return str(uuid4())
