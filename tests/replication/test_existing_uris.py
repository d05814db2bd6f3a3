"""Existing connection strings keep meaning what they mean to plain pymongo."""

from typing import Any

import pytest
from pymongo import MongoClient

from replication.config import MongoConfig
from replication.mongo import new_mongo_client
from tests.replication.running import Document

URIS = [
    "mongodb://localhost",
    "mongodb://localhost:27018/",
    "mongodb://a.example,b.example:27018,c.example/?replicaSet=rs0",
    "mongodb://me:p%40ss@a.example/",
    "mongodb://me:pw@a.example/shop?authSource=admin",
    "mongodb://me:pw@a.example/?authMechanism=SCRAM-SHA-256",
    "mongodb://me:pw@a.example/?authMechanism=SCRAM-SHA-1&authSource=users",
    "mongodb://me:pw@a.example/?authMechanism=PLAIN&tls=true",
    "mongodb://CN=me@a.example/?authMechanism=MONGODB-X509&tls=true",
    "mongodb://a.example/?tls=true",
    "mongodb://a.example/?tls=true&tlsInsecure=true",
    "mongodb://a.example/?tls=true&tlsAllowInvalidHostnames=true",
    "mongodb://a.example/?ssl=true&tlsDisableOCSPEndpointCheck=true",
    "mongodb://a.example/?w=0",
    "mongodb://a.example/?w=majority&wtimeoutMS=5000&journal=true",
    "mongodb://a.example/?w=2&readConcernLevel=majority",
    "mongodb://a.example/?retryWrites=false&retryReads=false",
    "mongodb://a.example/?readPreference=secondaryPreferred&maxStalenessSeconds=120",
    "mongodb://a.example/?readPreference=nearest&readPreferenceTags=dc:eu,use:reporting",
    "mongodb://a.example/?maxPoolSize=7&minPoolSize=1&maxIdleTimeMS=90000&waitQueueTimeoutMS=250",
    "mongodb://a.example/?maxConnecting=5",
    "mongodb://a.example/?connectTimeoutMS=1500&socketTimeoutMS=2500&serverSelectionTimeoutMS=3500",
    "mongodb://a.example/?timeoutMS=8000",
    "mongodb://a.example/?heartbeatFrequencyMS=5000&localThresholdMS=30&serverMonitoringMode=stream",
    "mongodb://a.example/?appName=ledger&compressors=zlib&zlibCompressionLevel=6",
    "mongodb://a.example/?directConnection=true",
    "mongodb://a.example/?loadBalanced=true",
    "mongodb://a.example/?uuidRepresentation=standard&tz_aware=true",
    "mongodb://%2Ftmp%2Fmongodb-27017.sock/shop",
    "mongodb://account:a2V5@account.mongo.cosmos.azure.com:10255/?ssl=true&replicaSet=globaldb"
    "&retrywrites=false&maxIdleTimeMS=120000&appName=@account@",
    "mongodb://me:pw@c.mongocluster.cosmos.azure.com:10260/?tls=true&authMechanism=SCRAM-SHA-256",
]


@pytest.mark.filterwarnings("ignore:You appear to be connected to a CosmosDB")
@pytest.mark.parametrize("uri", URIS)
def test_the_clients_options_are_plain_pymongos(uri: str) -> None:
    with (
        MongoClient[Document](uri, connect=False) as plain,
        new_mongo_client(MongoConfig(uri), defaults={"connect": False}) as ours,
    ):
        assert options(ours) == options(plain)
        assert ours == plain
        assert type(ours) is type(plain)


def test_a_password_beside_the_address_is_the_same_as_one_in_it() -> None:
    beside = MongoConfig("mongodb://me@a.example/", password="p@ss")
    with (
        MongoClient[Document]("mongodb://me:p%40ss@a.example/", connect=False) as plain,
        new_mongo_client(beside, defaults={"connect": False}) as ours,
    ):
        assert options(ours) == options(plain)


def test_the_table_is_of_thirty_addresses_at_least() -> None:
    assert len(set(URIS)) >= 30


def options(client: MongoClient[Document]) -> dict[str, Any]:
    """Everything that an address can say, as the client has understood it."""
    pool = client.options.pool_options
    said = {**said_by(client.options), **{f"pool.{k}": v for k, v in said_by(pool).items()}}
    del said["pool_options"], said["event_listeners"]  # objects; their contents are above
    tls = pool._ssl_context
    said["tls"] = tls and (tls.check_hostname, tls.verify_mode)
    return said | {"credentials": pool._credentials}


def said_by(thing: object) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in dir(type(thing)) if not name.startswith("_")}
