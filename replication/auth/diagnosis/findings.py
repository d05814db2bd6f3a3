"""What a step of a diagnosis ends with. Nothing here ever holds a token, a secret or a document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Cause(StrEnum):
    """Why a step failed: what a machine decides by, whatever the words are."""

    INVALID_CONFIGURATION = "invalid_configuration"
    UNKNOWN_CONNECTION = "unknown_connection"
    NAME_NOT_FOUND = "name_not_found"
    HOST_NOT_ALLOWED = "host_not_allowed"
    UNREACHABLE = "unreachable"
    CERTIFICATE = "certificate"
    TIMED_OUT = "timed_out"
    CREDENTIAL_UNAVAILABLE = "credential_unavailable"
    CREDENTIAL_REFUSED = "credential_refused"
    ENTRA_UNREACHABLE = "entra_unreachable"
    ENTRA_UNTRUSTED = "entra_untrusted"
    REQUEST_REFUSED = "request_refused"  # by Entra ID, for another reason than the credential
    WRONG_TENANT = "wrong_tenant"
    WRONG_AUDIENCE = "wrong_audience"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a code
    UNKNOWN_PRINCIPAL = "unknown_principal"
    SIGN_IN_REFUSED = "sign_in_refused"
    MISSING_RIGHT = "missing_right"
    NOT_SUPPORTED = "not_supported"
    SERVER_ERROR = "server_error"
    MISSING_ROLE = "missing_role"
    GRAPH_REFUSED = "graph_refused"
    GRAPH_UNREACHABLE = "graph_unreachable"


@dataclass(frozen=True)
class Finding:
    """A step that succeeded: one line for people, and the same as values."""

    detail: str
    facts: Mapping[str, object] = field(default_factory=dict)


class StepFailed(Exception):
    """A step that failed. The text says what was found; ``remedy`` says what to do."""

    def __init__(self, cause: Cause, message: str, remedy: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.remedy = remedy
