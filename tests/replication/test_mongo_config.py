"""A configuration is judged whole, before any connection, and each error helps."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.config import OSSRDBMS_SCOPE, AuthMethod, MongoConfig, MongoPolicy, is_guid
from replication.errors import InvalidConfiguration

TENANT = "7a1f0c52-3c1d-4d86-9b53-6f0f9d1c2e11"
CLUSTER = "costs.mongocluster.cosmos.azure.com"
POLICY = MongoPolicy(
    audiences={"mongocluster.cosmos.azure.com": OSSRDBMS_SCOPE},
    allowed_hosts=("cosmos.azure.com", "localhost"),
)
GOOD = MongoConfig(
    connection_uri=f"mongodb+srv://{CLUSTER}/?tls=true", auth_method="entra", tenant_id=TENANT
)


def problems(config: MongoConfig, policy: MongoPolicy = POLICY) -> list[str]:
    return [f"{field}: {problem}" for field, problem in config.problems(policy)]


@pytest.mark.parametrize(
    "uri",
    [
        f"mongodb+srv://{CLUSTER}/",
        f"mongodb+srv://some-client@{CLUSTER}/?authMechanism=MONGODB-OIDC&retrywrites=false",
        f"mongodb://{CLUSTER.upper()}:10260/?tls=true&srvMaxHosts=0",
        f"mongodb+srv://{CLUSTER}/?srvServiceName=own&maxIdleTimeMS=120000",
    ],
)
def test_good_addresses_have_no_problem(uri: str) -> None:
    assert problems(replace(GOOD, connection_uri=uri.replace("&srvMaxHosts=0", ""))) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tenant_id": ""}, "tenant_id: tenant_id is missing"),
        ({"tenant_id": "contoso"}, "tenant_id: tenant_id is 'contoso': expected a GUID"),
        ({"client_id": "my-app"}, "client_id: client_id is 'my-app': expected a GUID"),
        ({"auth_method": "oauth"}, "auth_method: auth_method is 'oauth'"),
        ({"password": "x"}, "a secret is configured"),
        ({"scopes": (OSSRDBMS_SCOPE, "https://graph.microsoft.com/.default")}, "names 2 resources"),
        ({"scopes": ("https://cosmos.azure.com/.default",)}, f"accepts '{OSSRDBMS_SCOPE}' only"),
        ({"scopes": ("https://ossrdbms-aad.database.windows.net",)}, "expected https://<resource>"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_expected(
    changes: dict[str, object], expected: str
) -> None:
    found = problems(replace(GOOD, **changes))  # type: ignore[arg-type]
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://somewhere", "connection_uri cannot be read"),
        (f"mongodb://me:pass@word@{CLUSTER}", "connection_uri cannot be read"),
        (f"mongodb+srv://me:secret@{CLUSTER}/", "holds a password"),
        (f"mongodb://{CLUSTER}/", "TLS off"),
        (f"mongodb+srv://{CLUSTER}/?tls=false", "TLS off"),
        (f"mongodb+srv://{CLUSTER}/?tlsInsecure=true", "tlsInsecure=true"),
        (f"mongodb+srv://{CLUSTER}/?tlsAllowInvalidCertificates=true", "anybody could take"),
        (f"mongodb+srv://{CLUSTER}/?tlsAllowInvalidHostnames=true", "anybody could take"),
        (f"mongodb+srv://{CLUSTER}/?w=0", "w=0"),
        (f"mongodb+srv://me@{CLUSTER}/?authMechanism=SCRAM-SHA-256", "SCRAM-SHA-256"),
        (
            f"mongodb+srv://{CLUSTER}/?authMechanism=MONGODB-OIDC"
            "&authMechanismProperties=ENVIRONMENT:azure,TOKEN_RESOURCE:x",
            "authMechanismProperties",
        ),
        ("mongodb://evil.example/?tls=true", "evil.example may not be sent"),
        ("mongodb://evilcosmos.azure.com/?tls=true", "may not be sent"),
        (f"mongodb://{CLUSTER},evil.example/?tls=true", "evil.example may not be sent"),
        ("mongodb://localhost/", "TLS off"),
    ],
)
def test_a_wrong_address_is_explained_and_never_quoted_with_its_secret(
    uri: str, expected: str
) -> None:
    found = problems(replace(GOOD, connection_uri=uri))
    assert any(expected in problem for problem in found), found
    assert "secret" not in str(found).replace("a secret is configured", "")
    assert "word" not in str(found).replace("password", "")


def test_every_problem_is_reported_at_once() -> None:
    bad = MongoConfig(
        connection_uri="mongodb://me:pw@evil.example/?w=0", auth_method="entra", tenant_id="x"
    )
    with pytest.raises(InvalidConfiguration) as error:
        bad.validate(POLICY)
    assert len(error.value.problems) == 5


def test_loopback_may_do_without_tls_in_the_sandbox_only() -> None:
    local = replace(GOOD, connection_uri="mongodb://localhost:27018/?tls=false")
    assert problems(local, replace(POLICY, sandbox=True)) == []
    away = replace(GOOD, connection_uri=f"mongodb://{CLUSTER}/?tls=false")
    assert problems(away, replace(POLICY, sandbox=True)) != []


def test_the_scope_follows_the_host() -> None:
    assert GOOD.scope(POLICY) == OSSRDBMS_SCOPE
    other = replace(GOOD, connection_uri="mongodb://db.cosmos.azure.com/?tls=true")
    assert other.scope(POLICY) == "https://cosmos.azure.com/.default"
    assert problems(replace(other, scopes=("https://cosmos.azure.com/.default",))) == []
    assert "PostgreSQL" in problems(replace(other, scopes=(OSSRDBMS_SCOPE,)))[0]
    assert (
        "another service"
        in problems(replace(other, scopes=("https://vault.azure.net/.default",)))[0]
    )


def test_connection_strings_are_left_alone() -> None:
    plain = MongoConfig(connection_uri="mongodb://me:pw@anywhere.example/?w=0&tlsInsecure=true")
    assert problems(plain) == []
    assert plain.auth_method == AuthMethod.CONNECTION_STRING
    assert "pw" not in repr(replace(plain, password="pw"))


@given(st.uuids())
def test_every_uuid_is_a_guid_in_either_case(value: object) -> None:
    assert is_guid(str(value))
    assert is_guid(str(value).upper())


@given(st.text().filter(lambda text: len(text) != 36))
def test_nothing_else_is_a_guid(text: str) -> None:
    assert not is_guid(text)


@given(st.from_regex(r"[a-z0-9]{1,10}", fullmatch=True))
def test_a_suffix_fits_whole_labels_only(label: str) -> None:
    assert POLICY.allows(f"{label}.cosmos.azure.com")
    assert not POLICY.allows(f"{label}cosmos.azure.com")
    assert not POLICY.allows(f"cosmos.azure.com.{label}")
