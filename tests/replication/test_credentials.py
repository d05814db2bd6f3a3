"""Every kind of identity gets a token, each from where Azure says that it comes from."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pytest_django import Settings

from replication.auth.azure_entra import (
    AzureEntraConfig,
    AzureEntraProvider,
    CredentialMethod,
    TokenRequestFailed,
)
from replication.auth.claims import token_claims
from replication.errors import InvalidConfiguration
from sandbox.entra.directory import TENANT_ID, WEB_CLIENT_ID
from sandbox.entra.server import EntraServer
from tests.replication.tokens import CANARY, SCOPE

CLIENT = "5b2e8a4e-90d7-4a3b-8a6f-21c5f0b7a9d3"


class Machine:
    """The endpoint of an Azure machine that hands out its identities' tokens."""

    def __init__(self) -> None:
        self.queries: list[dict[str, list[str]]] = []
        self.status = 200
        machine = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                machine.queries.append(parse_qs(urlsplit(self.path).query))
                body = json.dumps(machine.answer()).encode()
                self.send_response(machine.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"

    def answer(self) -> dict[str, str]:
        if self.status != 200:
            return {"error": "invalid_request", "error_description": f"no, {CANARY}"}
        expiry = str(int(time.time()) + 3600)
        resource = self.queries[-1]["resource"][0]
        return {"access_token": CANARY, "expires_on": expiry, "resource": resource}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    machine = Machine()
    monkeypatch.setenv("IDENTITY_ENDPOINT", machine.url)
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    yield machine
    machine.stop()


@pytest.mark.parametrize("client_id", ["", CLIENT], ids=["system-assigned", "user-assigned"])
def test_a_managed_identity_asks_its_machine(machine: Machine, client_id: str) -> None:
    config = AzureEntraConfig(client_id=client_id)
    token = AzureEntraProvider(config).request_token(SCOPE)
    assert token.token == CANARY
    assert 3500 < token.expires_at - time.time() < 3700
    assert machine.queries[0]["resource"] == [SCOPE.removesuffix("/.default")]
    assert machine.queries[0].get("client_id", [""]) == [client_id]


def test_a_machine_that_refuses_is_told_without_its_words(machine: Machine) -> None:
    machine.status = 400
    with pytest.raises(TokenRequestFailed, match="managed_identity") as error:
        AzureEntraProvider(AzureEntraConfig()).request_token(SCOPE)
    assert CANARY not in str(error.value)


def test_a_certificate_signs_the_application_in(entra: EntraServer) -> None:
    config = AzureEntraConfig(
        method=CredentialMethod.CERTIFICATE,
        tenant_id=TENANT_ID,
        client_id=WEB_CLIENT_ID,
        authority_host=entra.addresses.tls,
        certificate_path=str(entra.ca_file.parent / "application-certificate.pem"),
        ca_file=str(entra.ca_file),
    )
    claims = token_claims(AzureEntraProvider(config).request_token(SCOPE).token)
    assert claims is not None
    assert (claims.tenant_id, claims.audience) == (TENANT_ID, SCOPE.removesuffix("/.default"))


def test_a_missing_certificate_is_no_riddle() -> None:
    config = AzureEntraConfig(
        tenant_id=TENANT_ID, client_id=CLIENT, certificate_path="/nowhere/certificate.pem"
    )
    with pytest.raises(TokenRequestFailed, match=r"certificate credential .*FileNotFoundError"):
        AzureEntraProvider(config).request_token(SCOPE)


def test_a_developers_own_sign_in_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {
        "accessToken": CANARY,
        "expires_on": int(time.time()) + 3600,
        "expiresOn": "2099-01-01 00:00:00.000000",
    }
    tool = tmp_path / "az"
    tool.write_text(f"#!{sys.executable}\nprint({json.dumps(json.dumps(answer))})\n")
    tool.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    config = AzureEntraConfig(tenant_id=TENANT_ID, allow_developer=True)
    assert AzureEntraProvider(config).request_token(SCOPE).token == CANARY


def test_entras_code_and_ids_are_kept_for_its_support(entra: EntraServer) -> None:
    config = AzureEntraConfig(
        tenant_id=TENANT_ID,
        client_id="00000000-1111-4222-8333-444444444444",  # of nobody
        authority_host=entra.addresses.tls,
        federated_token_file=str(entra.federated_token_file),
        ca_file=str(entra.ca_file),
    )
    with pytest.raises(TokenRequestFailed) as error:
        AzureEntraProvider(config).request_token(SCOPE)
    guid = r"[0-9a-f-]{36}"
    assert error.match(rf"AADSTS\d+, correlation id {guid}, trace id {guid}\.")


def test_an_unknown_method_names_its_setting(settings: Settings) -> None:
    settings.MONGO_ENTRA_CREDENTIAL = "password"
    with pytest.raises(InvalidConfiguration, match="MONGO_ENTRA_CREDENTIAL is 'password'"):
        AzureEntraConfig.from_settings()
