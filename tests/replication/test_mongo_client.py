"""One client per process and connection, which sends tokens only where it may."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.server_description import ServerDescription
from pytest_django import Settings

from replication import mongo as shared
from replication.config import MongoConfig, MongoPolicy
from replication.errors import InvalidConfiguration, UnknownConnection
from replication.models import Connection
from replication.mongo import (
    Purpose,
    client_for,
    close_clients,
    database,
    new_mongo_client,
    replace_clients,
)
from replication.references import read_secret
from sandbox.entra.directory import REPLICATOR_CLIENT_ID, TENANT_ID
from sandbox.entra.server import EntraServer
from tests.conftest import GateFactory
from tests.replication.running import Document
from tests.replication.signed_in import POLICY, Gate, control_of
from tests.replication.tokens import SCOPE, Service, provider_of

LOCAL = MongoConfig(
    connection_uri="mongodb://localhost:1/?tls=false", auth_method="entra", tenant_id=TENANT_ID
)


@pytest.fixture
def connection(db: None, mongo_server: str) -> Iterator[Connection]:
    yield Connection.objects.create(name="plain", uri=mongo_server, auth_method="connection_string")
    close_clients()


def test_a_connection_has_one_client_for_each_purpose(connection: Connection) -> None:
    client = client_for("plain")
    assert client_for("plain") is client
    assert client_for("plain", Purpose.LEASE) is not client
    assert database("plain", "some").client is client


def test_a_changed_connection_gets_a_new_client(connection: Connection) -> None:
    before = client_for("plain")
    connection.uri += "&appname=other"
    connection.save()
    after = client_for("plain")
    assert after is not before
    assert before.admin.command("ping")["ok"] == 1  # whoever uses it still can


def test_clients_are_replaced_on_demand(connection: Connection) -> None:
    before = client_for("plain")
    replace_clients("plain")
    assert client_for("plain") is not before


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_child_has_clients_of_its_own(connection: Connection) -> None:
    client_for("plain")
    child = os.fork()
    if child == 0:
        os._exit(0 if not shared._registry._shared else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_unknown_connection_is_named(db: None) -> None:
    with pytest.raises(UnknownConnection, match="'nowhere'"):
        client_for("nowhere")


def test_a_connection_string_gives_what_pymongo_gives() -> None:
    uri = "mongodb://a.example,b.example/?w=0&replicaSet=rs&maxPoolSize=7"
    plain = MongoClient[Document](uri, connect=False)
    with plain, new_mongo_client(MongoConfig(uri)) as ours:
        assert ours == plain
        assert (ours.options.pool_options.max_pool_size, ours.write_concern.document) == (
            7,
            {"w": 0},
        )


def test_defaults_never_win_over_the_address() -> None:
    config = MongoConfig("mongodb://a.example/?serverSelectionTimeoutMS=7000")
    defaults = {"serverSelectionTimeoutMS": 1, "socketTimeoutMS": 5}
    with new_mongo_client(config, defaults=defaults) as client:
        assert client.options.server_selection_timeout == 7
        assert client.options.pool_options.socket_timeout == 0.005


def test_entra_has_defaults_of_its_own() -> None:
    with new_mongo_client(LOCAL, policy=POLICY) as client:
        pool = client.options.pool_options
        assert client.options.retry_writes is False
        assert client.options.server_monitoring_mode == "poll"
        assert (pool.max_idle_time_seconds, pool.appname) == (120, "finops-replication")


def test_each_of_them_gives_way_to_the_address() -> None:
    own = "&retryWrites=true&serverMonitoringMode=auto&maxIdleTimeMS=9000&appName=ledger"
    more = replace(LOCAL, connection_uri=LOCAL.connection_uri + own)
    with new_mongo_client(more, policy=POLICY) as client:
        pool = client.options.pool_options
        assert client.options.retry_writes is True
        assert client.options.server_monitoring_mode == "auto"
        assert (pool.max_idle_time_seconds, pool.appname) == (9, "ledger")


@pytest.mark.parametrize(
    ("host", "retried"),
    [("c.mongocluster.cosmos.azure.com", False), ("db.example.com", True)],
)
@pytest.mark.filterwarnings("ignore:You appear to be connected to a CosmosDB")
def test_writes_are_not_retried_on_azure_documentdb(host: str, retried: bool) -> None:
    policy = MongoPolicy(audiences={"mongocluster.cosmos.azure.com": SCOPE}, allowed_hosts=(host,))
    config = replace(LOCAL, connection_uri=f"mongodb://{host}/?tls=true")
    with new_mongo_client(config, policy=policy) as client:
        assert client.options.retry_writes is retried


def test_an_invalid_configuration_opens_nothing() -> None:
    with pytest.raises(InvalidConfiguration, match="may not be sent"):
        new_mongo_client(replace(LOCAL, connection_uri="mongodb://evil.example"), policy=POLICY)


def test_a_host_that_a_server_names_later_gets_no_token() -> None:
    with new_mongo_client(LOCAL, policy=POLICY) as client:
        select = client.options.server_selector
        assert select is not None
        servers = [ServerDescription((host, 1)) for host in ("localhost", "evil.example")]
        assert [server.address[0] for server in select(servers)] == ["localhost"]


def test_a_host_behind_an_srv_record_gets_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = {"nodelist": [("evil.example", 27017)]}
    monkeypatch.setattr(shared, "parse_uri", lambda _uri: foreign)
    srv = replace(LOCAL, connection_uri="mongodb+srv://localhost/?tls=false")
    with pytest.raises(InvalidConfiguration, match=r"evil\.example may not be sent"):
        new_mongo_client(srv, policy=POLICY)


def test_closing_after_expiry_asks_for_no_token(gate_factory: GateFactory) -> None:
    gate = gate_factory()
    service = Service(gate.issuer.now)
    service.repeat = gate.issuer.mint()
    config = replace(LOCAL, connection_uri=gate.uri)
    client = new_mongo_client(config, policy=POLICY, provider=provider_of(service))
    client["close"]["rows"].find_one()
    gate.issuer.advance(7200)
    client.close()
    assert service.requests == 1


def test_clients_share_their_providers_token(gate_factory: GateFactory) -> None:
    gate = gate_factory()
    service = Service(gate.issuer.now)
    service.repeat = gate.issuer.mint()
    provider = provider_of(service)
    for _ in range(4):
        config = replace(LOCAL, connection_uri=gate.uri)
        with new_mongo_client(config, policy=POLICY, provider=provider) as client:
            client["share"]["rows"].find_one()
    assert service.requests == 1


def test_a_secret_is_read_only_from_where_secrets_are(tmp_path: Path, settings: Settings) -> None:
    settings.MONGO_SECRETS = {"MONGO_SECRET_ONE": "from-env"}
    settings.MONGO_SECRET_DIR = tmp_path
    (tmp_path / "two").write_text("from-file\n")
    assert read_secret("env:MONGO_SECRET_ONE") == "from-env"
    assert read_secret("file:two") == "from-file"
    for reference in (
        "env:SECRET_KEY",
        "file:../two",
        "file:/etc/passwd",
        "file:",
        "two",
        "file:no",
    ):
        with pytest.raises(InvalidConfiguration, match="secret_ref"):
            read_secret(reference)


def test_connections_sign_in_as_the_settings_say_and_share_one_token(
    db: None, settings: Settings, entra: EntraServer, new_gate: Callable[[], Gate]
) -> None:
    settings.MONGO_ENTRA_AUDIENCES = {"localhost": SCOPE}
    settings.MONGO_ALLOWED_HOSTS = ["localhost"]
    settings.MONGO_ENTRA_CREDENTIAL = "workload_identity"
    settings.AZURE_TENANT_ID, settings.AZURE_CLIENT_ID = TENANT_ID, REPLICATOR_CLIENT_ID
    settings.AZURE_FEDERATED_TOKEN_FILE = str(entra.federated_token_file)
    settings.AZURE_AUTHORITY_HOST = entra.addresses.tls
    settings.ENTRA_CA_FILE = str(entra.ca_file)
    gate = new_gate()
    control_of(entra).forget_hits()
    for name in ("one", "two"):
        connection = Connection(name=name, uri=gate.uri, auth_method="entra")
        connection.full_clean()
        connection.save()
        assert database(name, "signed-in").command("ping")["ok"] == 1
        assert client_for(name, Purpose.LEASE).admin.command("ping")["ok"] == 1
    close_clients()
    assert gate.statistics()["sasl_ok"] >= 4
    assert control_of(entra).hits()["token"] == 1
