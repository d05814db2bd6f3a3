"""The fake Entra with settings that lead to it, gates, and ``manage.py test_auth``."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import Settings

from sandbox.entra.directory import (
    REPLICATOR_CLIENT_ID,
    TENANT_ID,
    WEB_CLIENT_ID,
    WEB_CLIENT_SECRET,
)
from sandbox.entra.server import EntraServer, Options
from tests.replication.signed_in import Gate
from tests.replication.tokens import SCOPE
from tests.sandbox.entra_fixtures import Entra


@pytest.fixture(scope="session")
def _entra_of_diagnosis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    with EntraServer(Options(state=tmp_path_factory.mktemp("entra"))) as server:
        yield Entra(server)


@pytest.fixture
def entra(_entra_of_diagnosis: Entra, settings: Settings) -> Iterator[Entra]:
    """The fake Entra as at its start, and the settings of an installation beside it."""
    entra = _entra_of_diagnosis
    for name, value in {
        "ENTRA_AUTHORITY_HOST": entra.addresses.tls,
        "ENTRA_TENANT_ID": TENANT_ID,
        "GRAPH_URL": entra.addresses.graph,
        "ENTRA_CA_FILE": entra.ca,
        "ENTRA_CLIENT_ID": WEB_CLIENT_ID,
        "ENTRA_CLIENT_SECRET": WEB_CLIENT_SECRET,
        "MONGO_ENTRA_CREDENTIAL": "workload_identity",
        "MONGO_ENTRA_AUDIENCES": {"localhost": SCOPE},
        "MONGO_ALLOWED_HOSTS": ["localhost"],
        "AZURE_TENANT_ID": TENANT_ID,
        "AZURE_CLIENT_ID": REPLICATOR_CLIENT_ID,
        "AZURE_AUTHORITY_HOST": entra.addresses.tls,
        "AZURE_FEDERATED_TOKEN_FILE": str(entra.server.federated_token_file),
    }.items():
        setattr(settings, name, value)
    yield entra
    entra.control.reset()


@pytest.fixture(scope="session")
def _gate_of_diagnosis(_entra_of_diagnosis: Entra, mongo_server: str) -> Iterator[Gate]:
    gate = Gate(_entra_of_diagnosis.server, mongo_server)
    yield gate
    gate.stop()


@pytest.fixture
def gate(_gate_of_diagnosis: Gate, entra: Entra) -> Gate:
    """A gate that takes the fake Entra's tokens of the replicator."""
    return _gate_of_diagnosis


@dataclass(frozen=True)
class Ended:
    """How the command ended, and all that it wrote."""

    code: int
    output: str

    @property
    def content(self) -> Any:
        return json.loads(self.output)

    @property
    def steps(self) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = self.content["subjects"][0]["steps"]
        return steps

    @property
    def failure(self) -> tuple[int, str, str]:
        """The exit code, the step and the cause of the failure that ended it."""
        assert [step["ok"] for step in self.steps] == [True] * (len(self.steps) - 1) + [False]
        assert self.content["exit_code"] == self.code
        return self.code, self.steps[-1]["step"], self.steps[-1]["cause"]

    @property
    def remedy(self) -> str:
        return str(self.steps[-1]["remedy"])


Run = Callable[..., Ended]


@pytest.fixture
def run() -> Run:
    """``run("--uri", …)`` runs the command with ``--json``; ``plain=True`` for the terminal's."""

    def run(*arguments: str, plain: bool = False) -> Ended:
        out, code = StringIO(), 0
        try:
            call_command(
                "test_auth", *arguments, *([] if plain else ["--json"]), stdout=out, no_color=True
            )
        except SystemExit as end:
            code = int(str(end.code))
        return Ended(code, out.getvalue())

    return run
