"""What ``test_auth`` looks at, each with an exit code of its own."""

from collections.abc import Mapping
from enum import StrEnum

from replication.auth.diagnosis.steps import Check, StepResult


class PageCheck(StrEnum):
    """What a step looks at, of the pages' sign-in."""

    CONFIGURATION = "configuration of sign-in"
    DISCOVERY = "discovery"
    KEYS = "signing keys"
    CREDENTIAL = "client credential"
    APP_TOKEN = "app token"  # noqa: S105 - the name of a step
    ROLES = "graph roles"
    GRAPH = "graph"


EXIT_CODES: Mapping[StrEnum, int] = {
    Check.CONFIGURATION: 10,
    Check.DNS: 11,
    Check.TLS: 12,
    Check.TOKEN: 13,
    Check.SIGN_IN: 14,
    Check.PING: 15,
    Check.READ: 16,
    Check.WATCH: 17,
    Check.WRITE: 18,
    PageCheck.CONFIGURATION: 20,
    PageCheck.DISCOVERY: 21,
    PageCheck.KEYS: 22,
    PageCheck.CREDENTIAL: 23,
    PageCheck.APP_TOKEN: 24,
    PageCheck.ROLES: 25,
    PageCheck.GRAPH: 26,
}


def exit_code(result: StepResult) -> int:
    """Return 0 for what succeeded, otherwise the number of the step."""
    return 0 if result.ok else EXIT_CODES[result.check]
