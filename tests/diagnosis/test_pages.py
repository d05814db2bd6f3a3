"""``test_auth --login`` and ``--graph``: sign-in to the pages, step by step."""

from pathlib import Path

import pytest
from pytest_django import Settings

from sandbox.entra.directory import REPLICATOR_CLIENT_ID
from sandbox.entra.faults import Endpoints, FaultKind
from tests.diagnosis.conftest import Run
from tests.sandbox.entra_fixtures import Entra

LOGIN = [
    "configuration of sign-in",
    *("discovery", "signing keys", "client credential", "app token"),
]


def test_login_looks_at_entra_only(entra: Entra, run: Run) -> None:
    ended = run("--login")
    assert ended.code == 0, ended.output
    assert [step["step"] for step in ended.steps] == LOGIN
    assert ended.steps[1]["facts"] == {"issuer": entra.addresses.issuer}


def test_graph_looks_at_roles_and_asks_once(entra: Entra, run: Run) -> None:
    entra.control.forget_hits()
    ended = run("--graph")
    assert ended.code == 0, ended.output
    assert [step["step"] for step in ended.steps] == [*LOGIN, "graph roles", "graph"]
    assert ended.steps[5]["facts"] == {"roles": ["GroupMember.Read.All", "User.Read.All"]}
    assert entra.control.hits()["token"] == 1


@pytest.mark.parametrize(
    ("setting", "file", "kind"),
    [
        ("ENTRA_CLIENT_CERTIFICATE_PATH", "application-certificate.pem", "client certificate"),
        ("ENTRA_FEDERATED_TOKEN_FILE", "federated-token", "federated token"),
    ],
)
def test_the_end_of_a_credential_is_shown(
    entra: Entra, run: Run, settings: Settings, setting: str, file: str, kind: str
) -> None:
    settings.ENTRA_CLIENT_SECRET = ""
    setattr(settings, setting, str(Path(entra.ca).parent / file))
    ended = run("--login")
    assert ended.code == 0, ended.output
    facts = ended.steps[3]["facts"]
    assert facts["kind"] == kind
    assert facts["days"] >= 0


def test_a_bad_client_secret(entra: Entra, run: Run, settings: Settings) -> None:
    settings.ENTRA_CLIENT_SECRET = "wrong-canary-51c0"
    ended = run("--graph")
    assert ended.failure == (24, "app token", "credential_refused")
    assert "AADSTS7000215" in ended.steps[-1]["detail"]
    assert "client secret" in ended.remedy


def test_no_credential_at_all(entra: Entra, run: Run, settings: Settings) -> None:
    settings.ENTRA_CLIENT_SECRET = ""
    ended = run("--login")
    assert ended.failure[:2] == (20, "configuration of sign-in")


def test_a_certificate_that_is_not_there(entra: Entra, run: Run, settings: Settings) -> None:
    settings.ENTRA_CLIENT_SECRET = ""
    settings.ENTRA_CLIENT_CERTIFICATE_PATH = "/nonexistent/certificate.pem"
    ended = run("--login")
    assert ended.failure == (23, "client credential", "credential_unavailable")
    assert "/nonexistent/certificate.pem" in ended.steps[-1]["detail"]


def test_a_missing_graph_role(entra: Entra, run: Run, settings: Settings) -> None:
    settings.ENTRA_CLIENT_SECRET = ""
    settings.ENTRA_CLIENT_ID = REPLICATOR_CLIENT_ID
    settings.ENTRA_FEDERATED_TOKEN_FILE = str(entra.server.federated_token_file)
    ended = run("--graph")
    assert ended.failure == (25, "graph roles", "missing_role")
    assert "User.Read.All" in ended.steps[-1]["detail"]
    assert "admin consent" in ended.remedy


def test_graph_refuses(entra: Entra, run: Run) -> None:
    entra.control.fail(Endpoints.GRAPH, status=403)
    ended = run("--graph")
    assert ended.failure == (26, "graph", "graph_refused")


def test_graph_does_not_answer(entra: Entra, run: Run) -> None:
    entra.control.fail(Endpoints.GRAPH, FaultKind.DROPPED, times=None)
    assert run("--graph").failure == (26, "graph", "graph_unreachable")


def test_entra_does_not_answer(entra: Entra, run: Run) -> None:
    entra.control.fail(Endpoints.DISCOVERY, FaultKind.DROPPED, times=None)
    assert run("--login").failure == (21, "discovery", "entra_unreachable")


def test_an_answer_that_breaks_off(entra: Entra, run: Run) -> None:
    entra.control.fail(Endpoints.KEYS, FaultKind.MALFORMED)
    assert run("--login").failure == (22, "signing keys", "entra_untrusted")


def test_a_slow_answer_is_not_waited_for(entra: Entra, run: Run) -> None:
    entra.control.fail(Endpoints.DISCOVERY, FaultKind.SLOW, seconds=5)
    ended = run("--login", "--timeout", "0.3")
    assert ended.code == 21
    assert ended.steps[-1]["milliseconds"] < 2000


def test_a_tenant_that_entra_does_not_know(entra: Entra, run: Run, settings: Settings) -> None:
    settings.ENTRA_TENANT_ID = "00000000-1111-4222-8333-444444444444"
    assert run("--login").failure == (21, "discovery", "wrong_tenant")


@pytest.mark.parametrize(("name", "wrong"), [("TENANT_ID", "common"), ("CLIENT_ID", "")])
def test_a_setting_that_is_missing_or_wrong(
    entra: Entra, run: Run, settings: Settings, name: str, wrong: str
) -> None:
    setattr(settings, f"ENTRA_{name}", wrong)
    ended = run("--login")
    assert ended.failure == (20, "configuration of sign-in", "invalid_configuration")
    assert name.lower() in ended.steps[-1]["detail"]
