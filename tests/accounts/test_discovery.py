"""A discovery document is believed only where it agrees with the configuration."""

import pytest
from pytest_django import Settings

from accounts.discovery import (
    MAX_AGE,
    DiscoveryCache,
    Endpoints,
    UntrustedDocument,
    endpoints,
    read_endpoints,
)
from accounts.reasons import Refused
from accounts.transport import Unreachable
from sandbox.entra.faults import Endpoints as Faulty
from sandbox.entra.faults import FaultKind
from tests.accounts.conftest import forget
from tests.sandbox.entra_fixtures import Entra

HOST = "https://login.microsoftonline.com"
TENANT = "7a1f0c52-3c1d-4d86-9b53-6f0f9d1c2e11"
GOOD: dict[str, object] = {
    "issuer": f"{HOST}/{TENANT}/v2.0",
    "authorization_endpoint": f"{HOST}/{TENANT}/oauth2/v2.0/authorize",
    "token_endpoint": f"{HOST}/{TENANT}/oauth2/v2.0/token",
    "jwks_uri": f"{HOST}/{TENANT}/discovery/v2.0/keys",
    "end_session_endpoint": f"{HOST}/{TENANT}/oauth2/v2.0/logout",
}
NAMES = [name for name in GOOD if name != "issuer"]


def read(document: dict[str, object], *, sandbox: bool = False) -> Endpoints:
    return read_endpoints(document, authority_host=HOST, tenant_id=TENANT, sandbox=sandbox)


def test_a_good_document_is_read() -> None:
    assert read(GOOD).token == GOOD["token_endpoint"]


@pytest.mark.parametrize(
    "issuer",
    [
        None,
        "",
        f"{HOST}/{{tenantid}}/v2.0",
        f"{HOST}/{TENANT}/",
        f"https://sts.windows.net/{TENANT}/",
        f"{HOST}/00000000-0000-4000-8000-000000000000/v2.0",
    ],
)
def test_another_issuer_is_refused(issuer: object) -> None:
    with pytest.raises(UntrustedDocument, match="issuer"):
        read(GOOD | {"issuer": issuer})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        7,
        "https://login.microsoftonline.com.evil.example/keys",
        "http://login.microsoftonline.com/keys",
        "https://user@login.microsoftonline.com/keys",
        "https://login.microsoftonline.com:8443/keys",
        "http://localhost:8000/keys",
    ],
)
def test_an_endpoint_elsewhere_is_refused(name: str, value: object) -> None:
    with pytest.raises(UntrustedDocument, match=name):
        read(GOOD | {name: value})


@pytest.mark.parametrize("name", NAMES)
def test_the_sandbox_may_show_pages_on_loopback_and_nothing_else(name: str) -> None:
    document = GOOD | {name: "http://localhost:8000/page"}

    if name in {"authorization_endpoint", "end_session_endpoint"}:
        assert read(document, sandbox=True)
        with pytest.raises(UntrustedDocument):
            read(GOOD | {name: "http://evil.example/page"}, sandbox=True)
    else:
        with pytest.raises(UntrustedDocument, match=name):
            read(document, sandbox=True)


def test_the_document_is_fetched_once(entra: Entra) -> None:
    entra.control.forget_hits()
    for _again in range(3):
        assert endpoints().issuer == entra.addresses.issuer

    assert entra.control.hits()["discovery"] == 1


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(FaultKind.STATUS, "entra_unreachable"), (FaultKind.MALFORMED, "entra_untrusted")],
)
def test_a_document_that_does_not_come_refuses(entra: Entra, kind: FaultKind, reason: str) -> None:
    entra.control.fail(Faulty.DISCOVERY, kind)

    with pytest.raises(Refused, match=reason):
        endpoints()
    assert endpoints().keys == entra.addresses.keys  # the next attempt asks again


def test_outside_the_sandbox_the_fake_is_not_believed(entra: Entra, settings: Settings) -> None:
    settings.SANDBOX = False
    forget()

    with pytest.raises(Refused, match="entra_untrusted"):
        endpoints()


def test_known_endpoints_outlive_an_outage() -> None:
    answers = iter([read(GOOD), None, read(GOOD | {"jwks_uri": f"{HOST}/new"})])
    now = 0.0

    def fetch() -> Endpoints:
        answer = next(answers)
        if answer is None:
            raise Unreachable
        return answer

    cache = DiscoveryCache(fetch, clock=lambda: now)
    seen = []
    for moment in (0.0, MAX_AGE - 1, MAX_AGE + 1, 2 * MAX_AGE + 2):
        now = moment
        seen.append(cache.get().keys)
    assert seen == [GOOD["jwks_uri"]] * 3 + [f"{HOST}/new"]
