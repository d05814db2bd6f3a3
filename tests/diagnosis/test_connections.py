"""``test_auth`` on MongoDB connections: each failure has its own step, cause, code and remedy."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.color import color_style
from pymongo import MongoClient
from pytest_django import Settings

from finops.diagnosis.checks import EXIT_CODES
from finops.diagnosis.output import Terminal
from finops.management.commands.test_auth import Command
from replication.auth.diagnosis.findings import Cause
from replication.auth.diagnosis.steps import Check, StepResult
from replication.models import Connection, Flow
from sandbox.entra.directory import REPLICATOR_OID
from sandbox.entra.faults import Endpoints, FaultKind
from tests.conftest import free_port
from tests.diagnosis.conftest import Run
from tests.replication.signed_in import Gate
from tests.sandbox.entra_fixtures import Entra

NOBODY = "00000000-1111-4222-8333-444444444444"
HERE = ("--database", "diagnosis", "--collection", "rows")


def test_a_connection_that_works_shows_every_step(gate: Gate, run: Run) -> None:
    ended = run("--uri", gate.uri, *HERE, "--watch", "--write")

    assert ended.code == 0, ended.output
    names = [step["step"] for step in ended.steps]
    assert names == [
        *("configuration", "dns", "tls", "token", "sign-in", "ping"),
        *("read", "change stream", "write"),
    ]
    assert all(step["ok"] and step["milliseconds"] >= 0 for step in ended.steps)
    token = ended.steps[3]["facts"]
    assert token["audience"] == "https://ossrdbms-aad.database.windows.net"
    assert token["object_id"] == REPLICATOR_OID
    assert 3000 < token["expires_in"] <= 3600
    assert ended.steps[-1]["facts"] == {"deleted": 1}


def test_the_write_probe_leaves_nothing(gate: Gate, run: Run, mongo_server: str) -> None:
    assert run("--uri", gate.uri, "--database", "diagnosis_write", "--write").code == 0
    with MongoClient[dict[str, Any]](mongo_server) as client:
        assert client["diagnosis_write"].list_collection_names() == []


def test_one_token_serves_the_token_step_and_the_sign_in(
    gate: Gate, entra: Entra, run: Run
) -> None:
    entra.control.forget_hits()
    assert run("--uri", gate.uri).code == 0
    assert entra.control.hits()["token"] == 1


def test_the_terminal_gets_one_aligned_line_a_step(gate: Gate, run: Run) -> None:
    ended = run("--uri", gate.uri, plain=True)
    lines = [line for line in ended.output.splitlines() if " ms  " in line]
    assert [line.split()[0] for line in lines] == [
        *("configuration", "dns", "tls", "token", "sign-in", "ping")
    ]
    assert len({line.index(" ms  ") for line in lines}) == 1
    assert ended.output.endswith("It works.\n")
    assert "\x1b" not in ended.output


def test_a_scope_for_another_service_is_a_matter_of_configuration(gate: Gate, run: Run) -> None:
    ended = run("--uri", gate.uri, "--scope", "https://cosmos.azure.com/.default")
    assert ended.failure == (10, "configuration", "invalid_configuration")


def test_an_audience_that_the_server_refuses(gate: Gate, run: Run, settings: Settings) -> None:
    settings.MONGO_ENTRA_AUDIENCES = {"localhost": "https://cosmos.azure.com/.default"}
    ended = run("--uri", gate.uri)
    assert ended.failure == (14, "sign-in", "wrong_audience")
    assert "MONGO_ENTRA_AUDIENCES" in ended.remedy


def test_an_unknown_tenant(gate: Gate, run: Run) -> None:
    ended = run("--uri", gate.uri, "--tenant-id", NOBODY)
    assert ended.failure == (13, "token", "wrong_tenant")
    assert "AADSTS90002" in ended.steps[-1]["detail"]


def test_an_unknown_client(gate: Gate, run: Run) -> None:
    ended = run("--uri", gate.uri, "--client-id", NOBODY)
    assert ended.failure == (13, "token", "credential_refused")
    assert "client id" in ended.remedy


def test_logs_do_not_repeat_the_steps_unless_asked_for(
    gate: Gate, run: Run, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MONGO_ENTRA_AUDIENCES = {"localhost": "https://cosmos.azure.com/.default"}
    run("--uri", gate.uri)
    assert caplog.records == []
    run("--uri", gate.uri, "--verbosity=2")
    assert "mongo_sign_in_failed" in caplog.text


def test_a_cluster_token_that_entra_does_not_trust(
    gate: Gate, entra: Entra, run: Run, settings: Settings, tmp_path: Path
) -> None:
    stale = tmp_path / "federated-token"
    stale.write_text(
        entra.control.mint_federated_token(claims={"sub": "system:serviceaccount:a:b"})
    )
    settings.AZURE_FEDERATED_TOKEN_FILE = str(stale)
    ended = run("--uri", gate.uri)
    assert ended.failure == (13, "token", "credential_refused")
    assert "system:serviceaccount" in ended.remedy


def test_entra_is_down(gate: Gate, entra: Entra, run: Run) -> None:
    entra.control.fail(Endpoints.TOKEN, FaultKind.DROPPED, times=None)
    ended = run("--uri", gate.uri)
    assert ended.failure == (13, "token", "entra_unreachable")
    assert "AZURE_AUTHORITY_HOST" in ended.remedy


def test_the_gate_is_down(entra: Entra, run: Run) -> None:
    ended = run("--uri", f"mongodb://localhost:{free_port()}/?tls=false")
    assert ended.failure == (12, "tls", "unreachable")
    assert "firewall" in ended.remedy


def test_tls_is_off_for_another_host(entra: Entra, run: Run, settings: Settings) -> None:
    settings.MONGO_ALLOWED_HOSTS = ["cosmos.azure.com"]
    ended = run("--uri", "mongodb://c.mongocluster.cosmos.azure.com:10260/?tls=false")
    assert ended.failure == (10, "configuration", "invalid_configuration")
    assert "TLS off" in ended.steps[-1]["detail"]


def test_a_credential_that_does_not_exist(gate: Gate, run: Run, settings: Settings) -> None:
    settings.MONGO_ENTRA_CREDENTIAL = "passwords"
    ended = run("--uri", gate.uri)
    assert ended.failure == (10, "configuration", "invalid_configuration")
    assert "MONGO_ENTRA_CREDENTIAL" in ended.steps[-1]["detail"]


def test_a_name_without_an_address(run: Run) -> None:
    ended = run("--uri", "mongodb://nobody.invalid/", "--auth-method", "connection_string")
    assert ended.failure == (11, "dns", "name_not_found")


def test_a_port_that_is_not_mongodbs(entra: Entra, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"mongodb://localhost:{silent.getsockname()[1]}/?directConnection=true"
        ended = run("--uri", uri, "--mongo-auth", "connection_string", "--timeout", "2")
    assert ended.failure == (14, "sign-in", "unreachable")


@contextmanager
def refusing(mongo_server: str, command: str, code: int) -> Iterator[None]:
    with MongoClient[dict[str, Any]](mongo_server) as client:
        data = {"failCommands": [command], "errorCode": code}
        client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=data)
        try:
            yield
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.mark.parametrize(
    ("command", "failed"),
    [
        ("find", (16, "read", "missing_right")),
        ("aggregate", (17, "change stream", "missing_right")),
        ("insert", (18, "write", "missing_right")),
    ],
)
def test_a_missing_right_is_no_failed_sign_in(
    gate: Gate, run: Run, mongo_server: str, command: str, failed: tuple[int, str, str]
) -> None:
    with refusing(mongo_server, command, 13):
        ended = run("--uri", gate.uri, *HERE, "--watch", "--write")
    assert ended.failure == failed
    assert REPLICATOR_OID in ended.steps[-1]["detail"]
    assert "role" in ended.remedy


def test_a_cluster_without_change_streams(gate: Gate, run: Run, mongo_server: str) -> None:
    with refusing(mongo_server, "aggregate", 115):
        ended = run("--uri", gate.uri, *HERE, "--watch")
    assert ended.failure == (17, "change stream", "not_supported")


def test_something_to_watch_must_be_named(gate: Gate, run: Run) -> None:
    ended = run("--uri", gate.uri, "--watch")
    assert ended.failure == (17, "change stream", "invalid_configuration")


@pytest.fixture
def flow(gate: Gate) -> Callable[[], None]:
    def make() -> None:
        source, destination = (
            Connection.objects.create(name=name, uri=gate.uri) for name in ("from", "to")
        )
        Flow.objects.create(
            name="costs",
            source=source,
            source_database="diagnosis",
            collection="rows",
            destination=destination,
            destination_database="diagnosis_copy",
            destination_collection="rows",
        )

    return make


@pytest.mark.django_db
def test_all_connections_and_what_flows_do_with_them(flow: Callable[[], None], run: Run) -> None:
    flow()
    ended = run("--write", "--database", "diagnosis")
    assert ended.code == 0, ended.output
    steps = {
        subject["name"]: [step["step"] for step in subject["steps"]][6:]
        for subject in ended.content["subjects"]
    }
    assert steps == {"from": ["read", "change stream", "write"], "to": ["write"]}


@pytest.mark.django_db
def test_the_first_failure_of_several_gives_the_code(gate: Gate, run: Run) -> None:
    Connection.objects.create(name="a", uri="mongodb://localhost:1/?tls=false")
    Connection.objects.create(name="b", uri=gate.uri)
    Connection.objects.create(name="c", uri=gate.uri, tenant_id="x")
    ended = run()
    assert ended.code == 12
    found = [(subject["name"], subject["ok"]) for subject in ended.content["subjects"]]
    assert found == [("a", False), ("b", True), ("c", False)]


@pytest.mark.django_db
def test_a_password_reference_that_leads_nowhere(run: Run) -> None:
    Connection.objects.create(
        name="old",
        uri="mongodb://me@localhost:1/",
        auth_method="connection_string",
        secret_ref="env:MONGO_SECRET_NONE",
    )
    ended = run("old")
    assert ended.failure == (10, "configuration", "invalid_configuration")
    assert "MONGO_SECRET_NONE" in ended.steps[-1]["detail"]


@pytest.mark.django_db
def test_an_unknown_connection_names_those_that_exist(gate: Gate, run: Run) -> None:
    Connection.objects.create(name="billing", uri=gate.uri)
    with pytest.raises(CommandError, match="'biling'; there are: billing"):
        run("biling")


@pytest.mark.django_db
def test_no_connection_at_all(run: Run) -> None:
    with pytest.raises(CommandError, match="--uri"):
        run()


def test_the_help_lists_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Command().run_from_argv(["manage.py", "test_auth", "--help"])
    shown = capsys.readouterr().out
    assert all(f"{code:>3}  {check}" in shown for check, code in EXIT_CODES.items())
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)


def test_the_version_is_the_products(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Command().run_from_argv(["manage.py", "test_auth", "--version"])
    assert capsys.readouterr().out.strip() == settings.VERSION


def test_a_terminal_gets_colours_and_lines_of_its_width() -> None:
    written: list[str] = []
    terminal = Terminal(written.append, color_style(force_color=True), columns=80)
    terminal.show(
        StepResult(Check.TLS, 3.2, "a b " * 60, cause=Cause.UNREACHABLE, remedy="do\x1bit")
    )
    shown = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in written]
    assert all(len(line) <= 80 for line in shown)
    assert "\x1b[" in written[0]
    assert "do?it" in shown[-1]


@pytest.mark.parametrize("wrong", ["0", "nan", "x", "-1", "601"])
def test_a_timeout_has_bounds(run: Run, wrong: str) -> None:
    with pytest.raises(CommandError, match=r"0\.1 to 600"):
        run("--uri", "mongodb://localhost/", f"--timeout={wrong}")
