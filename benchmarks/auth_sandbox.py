"""What ``benchmarks.auth`` measures against: server, gate and Entra, as processes of their own."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.auth_oidc import OIDCCallback, OIDCCallbackContext, OIDCCallbackResult

from replication.auth.azure_entra import AzureEntraConfig, CredentialMethod
from replication.auth.config import MongoEntraConfig
from replication.auth.mongo_entra import MongoEntraTokenProvider, new_mongo_entra_provider
from replication.config import AuthMethod, MongoConfig, MongoPolicy
from replication.mongo import Client, new_mongo_client
from sandbox.entra.client import EntraControl
from sandbox.entra.directory import REPLICATOR_CLIENT_ID, REPLICATOR_OID, TENANT_ID
from sandbox.mongod import answers_ping, secantusd_command
from tests.conftest import free_port
from tests.replication.tokens import SCOPE
from tests.waiting import wait_until

POLICY = MongoPolicy(audiences={"localhost": SCOPE}, allowed_hosts=("localhost",), sandbox=True)


@dataclass(frozen=True)
class Sandbox:
    """What runs, and how to reach it."""

    uri: str
    control: EntraControl
    identity: AzureEntraConfig

    def provider(self) -> MongoEntraTokenProvider:
        return new_mongo_entra_provider(MongoEntraConfig(identity=self.identity, scopes=(SCOPE,)))

    def client(self, provider: MongoEntraTokenProvider) -> Client:
        config = MongoConfig(self.uri, auth_method=AuthMethod.ENTRA, tenant_id=TENANT_ID)
        return new_mongo_client(config, policy=POLICY, provider=provider)

    def bare(self, callback: OIDCCallback) -> MongoClient[dict[str, Any]]:
        return MongoClient(
            self.uri,
            authMechanism="MONGODB-OIDC",
            authMechanismProperties={"OIDC_CALLBACK": callback},
            # As the product's, so that only the sign-in differs.
            serverMonitoringMode="poll",
            retryWrites=False,
            maxIdleTimeMS=120_000,
        )


class Trivial(OIDCCallback):
    """The least that a driver's user can write."""

    def __init__(self, token: str) -> None:
        self._result = OIDCCallbackResult(access_token=token)

    def fetch(self, context: OIDCCallbackContext) -> OIDCCallbackResult:
        return self._result


@contextlib.contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, **options) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextlib.contextmanager
def sandbox(folder: Path) -> Iterator[Sandbox]:
    state, port, entra_port, pages_port = folder / "entra", *(free_port() for _ in range(3))
    entra_url = f"https://localhost:{entra_port}"
    entra_command = [sys.executable, "-m", "sandbox.entra", "--state", str(state)]
    entra_command += ["--port", str(entra_port), "--http-port", str(pages_port)]
    gate_command = [sys.executable, "-m", "sandbox.gate", "--listen", "127.0.0.1:0"]
    gate_command += ["--upstream", f"127.0.0.1:{port}", "--issuer", f"{entra_url}/{TENANT_ID}/v2.0"]
    gate_command += ["--jwks-url", f"{entra_url}/{TENANT_ID}/discovery/v2.0/keys"]
    gate_command += ["--ca-file", str(state / "ca.pem"), "--principal", REPLICATOR_OID]
    gate_command += ["--audience", SCOPE.removesuffix("/.default")]
    gate_command += ["--tls-cert-file", str(state / "server.pem")]
    gate_command += ["--tls-key-file", str(state / "server-key.pem")]
    silent: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            running(secantusd_command(port=port, storage=folder / "data"), **silent)
        )
        entra = stack.enter_context(running(entra_command, stdout=subprocess.PIPE))
        assert entra.stdout is not None
        entra.stdout.readline()  # it says so when it listens
        wait_until(lambda: answers_ping(port), what="the embedded MongoDB answers")
        gate = stack.enter_context(
            running(gate_command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        )
        assert gate.stdout is not None
        gate_port = json.loads(gate.stdout.readline())["port"]
        yield Sandbox(
            uri=f"mongodb://localhost:{gate_port}/?tls=true&tlsCAFile={state / 'ca.pem'}",
            control=EntraControl.of_state(entra_url, state),
            identity=AzureEntraConfig(
                method=CredentialMethod.WORKLOAD_IDENTITY,
                tenant_id=TENANT_ID,
                client_id=REPLICATOR_CLIENT_ID,
                authority_host=entra_url,
                federated_token_file=str(state / "federated-token"),
                ca_file=str(state / "ca.pem"),
            ),
        )
