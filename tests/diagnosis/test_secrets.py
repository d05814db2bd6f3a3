"""No token and no secret is in what ``test_auth`` writes, whatever goes wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from replication.auth.azure_entra import AzureEntraProvider
from sandbox.entra.faults import Endpoints
from tests.diagnosis.conftest import Run
from tests.replication.signed_in import Gate, replicator
from tests.replication.tokens import SCOPE
from tests.sandbox.entra_fixtures import Entra

SECRET, PASSWORD = "canary-secret-6b1e", "canary-password-93af"
Scene = Callable[[Entra, Settings], tuple[str, ...]]


def works(entra: Entra, settings: Settings) -> tuple[str, ...]:
    return ("--write", "--watch", "--database", "diagnosis", "--collection", "rows")


def refused_audience(entra: Entra, settings: Settings) -> tuple[str, ...]:
    settings.MONGO_ENTRA_AUDIENCES = {"localhost": "https://cosmos.azure.com/.default"}
    return ()


def token_service_fails(entra: Entra, settings: Settings) -> tuple[str, ...]:
    entra.control.fail(Endpoints.TOKEN, status=500, times=None)
    return ()


def bad_secret(entra: Entra, settings: Settings) -> tuple[str, ...]:
    settings.ENTRA_CLIENT_SECRET = SECRET
    return ("--graph",)


@pytest.mark.parametrize("scene", [works, refused_audience, token_service_fails, bad_secret])
@pytest.mark.parametrize("plain", [True, False])
def test_no_secret_is_written(
    scene: Scene,
    plain: bool,
    gate: Gate,
    entra: Entra,
    run: Run,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    tokens = _remember_tokens(monkeypatch)
    arguments = scene(entra, settings)
    ended = run("--uri", gate.uri, "--verbosity=2", *arguments, plain=plain)
    written = ended.output + caplog.text + "".join(capfd.readouterr())
    federated = Path(settings.AZURE_FEDERATED_TOKEN_FILE).read_text().strip()
    for secret in [SECRET, federated, *tokens]:
        for part in secret.split(".")[1:] or [secret]:
            assert part not in written
    assert "eyJ" not in written


def _remember_tokens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    tokens: list[str] = []
    ask = AzureEntraProvider.request_token

    def asking(self: AzureEntraProvider, scope: str) -> Any:
        token = ask(self, scope)
        tokens.append(token.token)
        return token

    monkeypatch.setattr(AzureEntraProvider, "request_token", asking)
    return tokens


def test_the_fake_gives_tokens_that_the_search_would_find(entra: Entra) -> None:
    token = AzureEntraProvider(replicator(entra.server)).request_token(SCOPE).token
    assert token.startswith("eyJ")


@pytest.mark.parametrize("method", ["entra", "connection_string"])
@pytest.mark.parametrize("rest", ["@localhost:1/?tls=true", "@localhost:1/?tls=maybe", "@/?x"])
def test_no_password_of_an_address_is_written(run: Run, method: str, rest: str) -> None:
    for plain in (True, False):
        uri = f"mongodb://me:{PASSWORD}{rest}"
        ended = run("--uri", uri, "--auth-method", method, "--timeout", "1", plain=plain)
        assert ended.code in {10, 12}
        assert PASSWORD not in ended.output
