"""The whole way of a sign-in to MongoDB: the fake Entra, azure-identity, the provider, a gate."""

import json
import subprocess
import sys
import urllib.request
from typing import Any

from pymongo.uri_parser import parse_uri

from replication.auth.azure_entra import AzureEntraConfig, CredentialMethod
from replication.auth.mongo_entra import (
    MongoEntraConfig,
    MongoEntraTokenProvider,
    new_mongo_entra_provider,
)
from replication.config import AuthMethod, MongoConfig, MongoPolicy
from replication.mongo import Client, new_mongo_client
from sandbox.entra.client import EntraControl
from sandbox.entra.directory import REPLICATOR_CLIENT_ID, REPLICATOR_OID, TENANT_ID
from sandbox.entra.server import EntraServer
from tests.replication.tokens import SCOPE

POLICY = MongoPolicy(audiences={"localhost": SCOPE}, allowed_hosts=("localhost",), sandbox=True)


class Gate:
    """A gate process in front of a MongoDB."""

    def __init__(self, entra: EntraServer, upstream: str) -> None:
        host, port = parse_uri(upstream)["nodelist"][0]
        self._process = subprocess.Popen(
            [
                sys.executable,
                *("-m", "sandbox.gate", "--listen", "127.0.0.1:0"),
                *("--upstream", f"{host}:{port}", "--control-port", "0"),
                *("--issuer", entra.addresses.issuer, "--jwks-url", entra.addresses.keys),
                *("--ca-file", str(entra.ca_file), "--audience", SCOPE.removesuffix("/.default")),
                *("--principal", REPLICATOR_OID),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        ports = json.loads(self._process.stdout.readline())
        self.uri = f"mongodb://localhost:{ports['port']}/?directConnection=false&tls=false"
        self._stats = f"http://127.0.0.1:{ports['control_port']}/stats"

    def statistics(self) -> dict[str, int]:
        with urllib.request.urlopen(self._stats, timeout=5) as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)
        assert self._process.stdout is not None
        self._process.stdout.close()


def control_of(entra: EntraServer) -> EntraControl:
    """The fake's control calls."""
    return EntraControl.of_state(entra.addresses.tls, entra.ca_file.parent)


def replicator(entra: EntraServer) -> AzureEntraConfig:
    """The replicator's workload identity."""
    return AzureEntraConfig(
        method=CredentialMethod.WORKLOAD_IDENTITY,
        tenant_id=TENANT_ID,
        client_id=REPLICATOR_CLIENT_ID,
        authority_host=entra.addresses.tls,
        federated_token_file=str(entra.federated_token_file),
        ca_file=str(entra.ca_file),
    )


def provider_for(entra: EntraServer) -> MongoEntraTokenProvider:
    """The real provider; close it."""
    return new_mongo_entra_provider(MongoEntraConfig(identity=replicator(entra), scopes=(SCOPE,)))


def client_through(gate: Gate, provider: MongoEntraTokenProvider, **defaults: Any) -> Client:
    """A client as the product builds it; close it."""
    config = MongoConfig(connection_uri=gate.uri, auth_method=AuthMethod.ENTRA, tenant_id=TENANT_ID)
    return new_mongo_client(config, policy=POLICY, provider=provider, defaults=defaults)
