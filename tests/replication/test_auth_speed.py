"""Disasters only: ``python -m benchmarks.auth`` has the figures, and the limits that they keep."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from replication.auth.azure_entra import AccessToken, AzureEntraConfig
from replication.auth.config import MongoEntraConfig
from replication.auth.mongo_entra import MongoEntraTokenProvider
from replication.config import AuthMethod, MongoConfig, MongoPolicy
from replication.mongo import Client, new_mongo_client
from sandbox.entra.directory import TENANT_ID
from sandbox.entra.faults import Endpoints, FaultKind
from sandbox.entra.server import EntraServer
from sandbox.entra.tls import ensure_certificates
from tests.conftest import GateFactory
from tests.replication.signed_in import control_of, provider_for
from tests.replication.tokens import SCOPE
from tests.sandbox.gate_running import RunningGate, TokenIssuer

CEILING = 1.0  # seconds; the limit is 0.2 on a quiet machine
POLICY = MongoPolicy(audiences={"localhost": SCOPE}, allowed_hosts=("localhost",), sandbox=True)


class Minting:
    """A token service without a network."""

    def __init__(self, issuer: TokenIssuer) -> None:
        self._issuer = issuer

    def request_token(self, scope: str) -> AccessToken:
        return AccessToken(self._issuer.mint(), time.time() + 3600)


@pytest.fixture
def provider(token_issuer: TokenIssuer) -> Iterator[MongoEntraTokenProvider]:
    config = MongoEntraConfig(identity=AzureEntraConfig(tenant_id=TENANT_ID), scopes=(SCOPE,))
    with closing(MongoEntraTokenProvider(config, Minting(token_issuer))) as provider:
        yield provider


@pytest.fixture
def connect(
    gate_factory: GateFactory, provider: MongoEntraTokenProvider, tmp_path: Path
) -> Callable[[], Client]:
    files = ensure_certificates(tmp_path)
    gate: RunningGate = gate_factory(tls=files.server_context())
    config = MongoConfig(
        f"{gate.uri}&tlsCAFile={files.ca}", auth_method=AuthMethod.ENTRA, tenant_id=TENANT_ID
    )
    return lambda: new_mongo_client(config, policy=POLICY, provider=provider)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.perf_counter()
    yield
    assert time.perf_counter() - began < seconds


def test_a_new_client_signs_in_over_tls(connect: Callable[[], Client]) -> None:
    for _ in range(5):
        with within(CEILING), connect() as client:
            client.admin.command("ping")


def test_a_command_that_meets_an_expiry(
    connect: Callable[[], Client], token_issuer: TokenIssuer
) -> None:
    with connect() as client:
        for _ in range(5):
            client.admin.command("ping")
            token_issuer.advance(7200)
            with within(CEILING):
                client.admin.command("ping")


def test_a_token_of_a_slow_entra(entra: EntraServer) -> None:
    control_of(entra).fail(Endpoints.TOKEN, FaultKind.SLOW, times=None, seconds=0.3)
    with closing(provider_for(entra)) as provider, within(0.3 + CEILING):
        provider.get_mongo_token()


def test_cached_calls_cost_next_to_nothing(provider: MongoEntraTokenProvider) -> None:
    provider.get_mongo_token()
    with within(CEILING):
        for _ in range(10_000):
            provider.get_mongo_token()
