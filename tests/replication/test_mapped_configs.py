"""Configurations come from mappings as the contract writes them, and go back unchanged."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.auth.azure_entra import AzureEntraConfig, CredentialMethod
from replication.auth.config import MongoEntraConfig, RetryConfig
from replication.config import MongoConfig, MongoPolicy
from replication.errors import InvalidConfiguration
from replication.estuary import WaterFlowsConfig
from replication.mapping import MappedConfig
from replication.policy import OSSRDBMS_SCOPE
from replication.streams import MongoStreamConfig

TENANT, CLIENT = "7a1f0c52-3c1d-4d86-9b53-6f0f9d1c2e11", "5b2e8a4e-90d7-4a3b-8a6f-21c5f0b7a9d3"
CLUSTER = "mongodb+srv://costs.mongocluster.cosmos.azure.com/"
POLICY = MongoPolicy(
    audiences={"mongocluster.cosmos.azure.com": OSSRDBMS_SCOPE}, allowed_hosts=("cosmos.azure.com",)
)
IDENTITY = AzureEntraConfig(tenant_id=TENANT, client_id=CLIENT, federated_token_file="/token")

seconds = st.floats(min_value=0.001, max_value=1e6)
texts = st.text(max_size=20)
scopes = st.lists(texts, max_size=3).map(tuple)
retries = st.builds(
    RetryConfig, attempts=st.integers(), first_delay=seconds, max_delay=seconds, budget=seconds
)
identities = st.builds(
    AzureEntraConfig,
    method=st.sampled_from(CredentialMethod),
    tenant_id=texts,
    client_id=texts,
    read_timeout=seconds,
    allow_developer=st.booleans(),
)
configs = st.one_of(
    retries,
    identities,
    st.builds(
        MongoEntraConfig,
        tenant_id=texts,
        resource_uri=texts,
        scopes=scopes,
        timeout=seconds,
        retry_config=retries,
        identity=identities,
    ),
    st.builds(
        MongoConfig, connection_uri=texts, tenant_id=texts, scopes=scopes, auth_timeout=seconds
    ),
    st.builds(
        MongoStreamConfig,
        uri=texts,
        database=texts,
        collection=texts,
        scopes=scopes,
        timeout=seconds,
    ),
    st.builds(
        WaterFlowsConfig,
        mongo_uri=texts,
        mongo_database_name=texts,
        mongo_collection_name=texts,
        mongo_scopes=scopes,
    ),
)


@given(configs)
def test_every_configuration_survives_the_way_there_and_back(config: MappedConfig) -> None:
    assert type(config).from_mapping(config.to_mapping()) == config


def problems_of(kind: type[MappedConfig], values: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(InvalidConfiguration) as error:
        kind.from_mapping(values)
    return error.value.problems


@pytest.mark.parametrize(
    ("kind", "own", "expected"),
    [
        (MongoConfig, {"connection_uri": CLUSTER}, {"auth_timeout": 30, "tenant_id": TENANT}),
        (
            MongoStreamConfig,
            {"uri": CLUSTER, "database": "d", "collection": "c"},
            {"timeout": 30, "tenant_id": TENANT},
        ),
    ],
)
def test_a_nested_auth_config_is_flattened(
    kind: type[MappedConfig], own: dict[str, Any], expected: dict[str, Any]
) -> None:
    nested = {"tenant_id": TENANT, "scopes": [OSSRDBMS_SCOPE], "timeout": "30s"}
    config = kind.from_mapping({**own, "auth_config": nested})
    assert {name: getattr(config, name) for name in expected} == expected
    assert kind.from_mapping({**own, "auth_config": None}) == kind.from_mapping(own)


def test_the_destinations_fields_have_their_prefix() -> None:
    names = ("uri", "database_name", "collection_name")
    own = {f"mongo_{name}": "x" for name in names}
    config = WaterFlowsConfig.from_mapping({**own, "auth_config": {"tenant_id": TENANT}})
    assert config.mongo_tenant_id == TENANT


def test_everything_that_cannot_be_read_is_told_at_once() -> None:
    found = problems_of(
        MongoConfig,
        {
            "connection_uri": ["mongodb://me:canary@host"],
            "auth_timeout": "soon",
            "scopes": "https://one",
            "colection": "typo",
            "tenant_id": TENANT,
            "auth_config": {"tenant_id": CLIENT, "user": "x"},
        },
    )
    assert len(found) == 6
    assert "canary" not in str(found)


def test_nested_configurations_are_read_and_their_problems_named() -> None:
    config = MongoEntraConfig.from_mapping(
        {
            "retry_config": {"budget": "5s"},
            "identity": {"method": "certificate"},
            "refresh_before_expiry": "5m",
        }
    )
    assert config.retry_config.budget == 5
    assert config.identity.method is CredentialMethod.CERTIFICATE
    assert config.refresh_before_expiry == 300
    wrong = {"retry_config": {"attempts": True}, "identity": {"method": "password"}, "timeout": -1}
    found = problems_of(MongoEntraConfig, wrong)
    assert [problem.partition(":")[0] for problem in found] == [
        "retry_config",
        "identity",
        "timeout",
    ]


def test_a_missing_field_is_named() -> None:
    assert problems_of(MongoStreamConfig, {"uri": "x"}) == ("collection, database: missing.",)


def test_a_password_never_leaves_by_the_mapping() -> None:
    config = MongoConfig("mongodb://h", password="canary")
    assert "canary" not in str(config.to_mapping())


@pytest.mark.parametrize(
    "config",
    [
        MongoStreamConfig("http://x", "", "c", auth_method="entra", tenant_id="x"),
        WaterFlowsConfig("http://x", "", "c", mongo_auth_method="entra", mongo_tenant_id="x"),
    ],
)
def test_problems_have_the_fields_own_names(
    config: MongoStreamConfig | WaterFlowsConfig,
) -> None:
    prefix = "mongo_" if isinstance(config, WaterFlowsConfig) else ""
    with pytest.raises(InvalidConfiguration) as error:
        config.validate(POLICY)
    tenant, uri, database = error.value.problems
    assert tenant.startswith(f"{prefix}tenant_id is")
    assert uri.startswith(f"{prefix}uri cannot be read")
    assert database.startswith(f"{prefix}database")


def test_a_good_provider_configuration_has_no_problem() -> None:
    MongoEntraConfig(identity=IDENTITY, scopes=(OSSRDBMS_SCOPE,)).validate()
    MongoEntraConfig(
        TENANT, CLIENT, resource_uri="https://cosmos.azure.com", identity=IDENTITY
    ).validate()
    AzureEntraConfig().validate()  # the machine's own identity needs nothing
    RetryConfig().validate()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (MongoEntraConfig(), "tenant_id is missing"),
        (MongoEntraConfig("contoso", identity=IDENTITY), "tenant_id is 'contoso'"),
        (MongoEntraConfig(TENANT, "app", identity=IDENTITY), "client_id is 'app'"),
        (MongoEntraConfig(TENANT, scopes=("https://a/.default", "https://b/.default")), "2"),
        (MongoEntraConfig(TENANT, scopes=("https://a/.default https://b/.default",)), "several"),
        (MongoEntraConfig(TENANT, scopes=("https://a/user_impersonation",)), "expected https"),
        (MongoEntraConfig(TENANT, scopes=("api://a/.default",)), "expected https"),
        (
            MongoEntraConfig(TENANT, resource_uri="https://a", scopes=("https://b/.default",)),
            "different resources",
        ),
        (MongoEntraConfig(TENANT, timeout=0), "timeout is 0"),
        (MongoEntraConfig(TENANT, retry_config=RetryConfig(attempts=0)), "attempts is 0"),
        (MongoEntraConfig(TENANT, retry_config=RetryConfig(first_delay=9)), "less than"),
        (MongoEntraConfig(TENANT, retry_config=RetryConfig(budget=0)), "budget is 0"),
        (
            MongoEntraConfig(identity=replace(IDENTITY, client_id="")),
            "identity.client_id is missing: the workload_identity credential needs it",
        ),
        (
            MongoEntraConfig(identity=replace(IDENTITY, authority_host="http://login")),
            "identity.authority_host is 'http://login'",
        ),
    ],
)
def test_a_provider_is_refused_what_cannot_work(config: MongoEntraConfig, expected: str) -> None:
    with pytest.raises(InvalidConfiguration, match=expected):
        config.validate()


def test_a_provider_tells_every_problem_at_once() -> None:
    wrong = MongoEntraConfig("x", "y", scopes=("z",), timeout=0, retry_config=RetryConfig(0))
    with pytest.raises(InvalidConfiguration) as error:
        wrong.validate()
    assert len(error.value.problems) >= 5
