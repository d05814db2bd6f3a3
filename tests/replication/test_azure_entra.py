"""Azure's credentials get tokens from the fake Entra over TLS, and fail without leaking any."""

from dataclasses import replace

import pytest
from pytest_django import Settings

from replication.auth.azure_entra import (
    AzureEntraConfig,
    AzureEntraProvider,
    TokenRequestFailed,
)
from replication.auth.azure_entra import (
    CredentialMethod as Method,
)
from replication.auth.claims import token_identity
from sandbox.entra.directory import REPLICATOR_OID, TENANT_ID
from sandbox.entra.server import EntraServer
from tests.replication.signed_in import replicator
from tests.replication.tokens import SCOPE


@pytest.fixture
def config(entra: EntraServer) -> AzureEntraConfig:
    return replace(replicator(entra), retry_total=0)


def test_workload_identity_gets_a_token_that_names_its_identity(config: AzureEntraConfig) -> None:
    token = AzureEntraProvider(config).request_token(SCOPE)
    assert token_identity(token.token) == (TENANT_ID, REPLICATOR_OID)


def test_every_request_asks_entra_again(config: AzureEntraConfig) -> None:
    provider = AzureEntraProvider(config)
    assert provider.request_token(SCOPE).token != provider.request_token(SCOPE).token


def test_the_configured_ca_wins_over_the_machines(
    config: AzureEntraConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    assert AzureEntraProvider(config).request_token(SCOPE).token


def test_without_the_ca_the_service_is_not_trusted(config: AzureEntraConfig) -> None:
    with pytest.raises(TokenRequestFailed, match="ServiceRequestError"):
        AzureEntraProvider(replace(config, ca_file="")).request_token(SCOPE)


def test_entras_own_code_is_told_and_nothing_of_the_request(config: AzureEntraConfig) -> None:
    unknown = replace(config, client_id="00000000-1111-4222-8333-444444444444")
    with pytest.raises(TokenRequestFailed, match=r"ClientAuthenticationError AADSTS\d+") as error:
        AzureEntraProvider(unknown).request_token(SCOPE)
    with open(config.federated_token_file) as file:
        assert file.read().split(".")[2] not in str(error.value)
    assert error.value.__suppress_context__


def test_a_missing_token_file_is_named_by_its_setting(config: AzureEntraConfig) -> None:
    lost = replace(config, federated_token_file="/nowhere/token")
    with pytest.raises(TokenRequestFailed, match="workload_identity"):
        AzureEntraProvider(lost).request_token(SCOPE)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"federated_token_file": "t", "certificate_path": "c"},
            Method.WORKLOAD_IDENTITY,
        ),
        ({"certificate_path": "c", "allow_developer": True}, Method.CERTIFICATE),
        ({"allow_developer": True}, Method.DEVELOPER),
        ({}, Method.MANAGED_IDENTITY),
        (
            {"method": Method.DEVELOPER, "certificate_path": "c"},
            Method.DEVELOPER,
        ),
    ],
)
def test_auto_takes_the_first_that_is_configured(
    changes: dict[str, object], expected: Method
) -> None:
    assert replace(AzureEntraConfig(), **changes).chosen is expected  # type: ignore[arg-type]


def test_a_connections_own_tenant_and_client_win_over_the_settings(
    settings: Settings,
) -> None:
    settings.AZURE_TENANT_ID, settings.AZURE_CLIENT_ID = "t", "c"
    assert AzureEntraConfig.from_settings().tenant_id == "t"
    own = AzureEntraConfig.from_settings(tenant_id="own", client_id="mine")
    assert (own.tenant_id, own.client_id) == ("own", "mine")
