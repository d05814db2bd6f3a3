"""A token is judged before it is sent, and a missing right is not a failed sign-in."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient

from replication.auth.mongo_entra import Access, MongoEntraTokenProvider
from replication.errors import MissingPermission, SignInFailed
from sandbox.entra.directory import REPLICATOR_CLIENT_ID, REPLICATOR_OID, TENANT_ID
from sandbox.entra.server import EntraServer
from tests.replication.running import Document
from tests.replication.signed_in import Gate, client_through, provider_for
from tests.replication.tokens import SCOPE

AUDIENCE = SCOPE.removesuffix("/.default")
GOOD = {
    "aud": AUDIENCE,
    "tid": TENANT_ID,
    "oid": REPLICATOR_OID,
    "appid": REPLICATOR_CLIENT_ID,
    "exp": time.time() + 3600,
}


def token_of(claims: dict[str, Any]) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{body}.canary-signature"


@pytest.fixture
def provider(entra: EntraServer) -> Iterator[MongoEntraTokenProvider]:
    provider = provider_for(entra)
    yield provider
    provider.close()


def test_a_good_token_tells_its_identity(provider: MongoEntraTokenProvider) -> None:
    token = provider.get_mongo_token().token
    assert provider.validate_mongo_access(token) == {
        "tenant_id": TENANT_ID,
        "object_id": REPLICATOR_OID,
        "client_id": REPLICATOR_CLIENT_ID,
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"aud": "https://graph.microsoft.com"}, "is for 'https://graph.microsoft.com'"),
        ({"aud": f"{AUDIENCE}/"}, "accepts"),
        ({"tid": "another"}, "is of tenant 'another'"),
        ({"appid": "another"}, "is of client 'another'"),
        ({"exp": time.time() - 60}, r"expired \d+ s ago"),
        ({"exp": None}, "does not say when"),
        ({"oid": None}, "names no object id"),
    ],
)
def test_a_token_that_no_cluster_could_accept_is_explained(
    provider: MongoEntraTokenProvider, change: dict[str, Any], expected: str
) -> None:
    with pytest.raises(SignInFailed, match=expected) as error:
        provider.validate_mongo_access(token_of(GOOD | change))
    assert "canary" not in str(error.value)


def test_everything_wrong_with_a_token_is_told_at_once(provider: MongoEntraTokenProvider) -> None:
    with pytest.raises(SignInFailed) as error:
        provider.validate_mongo_access(token_of({}))
    assert str(error.value).count("The token") == 5
    with pytest.raises(SignInFailed, match="no JWT"):
        provider.validate_mongo_access("opaque")


def test_another_resource_may_be_asked_about(provider: MongoEntraTokenProvider) -> None:
    token = token_of(GOOD | {"aud": "https://cosmos.azure.com"})
    provider.validate_mongo_access(token, "https://cosmos.azure.com")


@contextmanager
def failing(mongo: MongoClient[Document], command: str, code: int) -> Iterator[None]:
    data = {"failCommands": [command], "errorCode": code}
    mongo.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=data)
    try:
        yield
    finally:
        mongo.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.mark.parametrize(
    ("command", "code", "access", "expected"),
    [
        ("find", 13, Access.READ, "may not read access.rows: give it the role 'read'"),
        ("aggregate", 13, Access.READ, "may not watch access.rows"),
        ("update", 13, Access.WRITE, "may not update access.rows: give it the role 'readWrite'"),
        ("delete", 13, Access.WRITE, "may not delete from access.rows"),
    ],
)
def test_a_missing_right_is_named(
    provider: MongoEntraTokenProvider,
    mongo: MongoClient[Document],
    command: str,
    code: int,
    access: Access,
    expected: str,
) -> None:
    token = provider.get_mongo_token().token
    rows = mongo["access"]["rows"]
    with failing(mongo, command, code), pytest.raises(MissingPermission, match=expected):
        provider.validate_mongo_access(token, collection=rows, access=access)


def test_rights_are_asked_through_the_gate_and_nothing_is_written(
    provider: MongoEntraTokenProvider,
    new_gate: Callable[[], Gate],
    mongo: MongoClient[Document],
) -> None:
    token = provider.get_mongo_token().token
    mongo["access"]["rows"].insert_one({"_id": "one"})
    with client_through(new_gate(), provider) as client:
        for access in Access:
            provider.validate_mongo_access(
                token, collection=client["access"]["rows"], access=access
            )
    assert list(mongo["access"]["rows"].find()) == [{"_id": "one"}]


def test_an_identity_that_the_cluster_does_not_know_has_not_signed_in(
    provider: MongoEntraTokenProvider, mongo: MongoClient[Document]
) -> None:
    token = provider.get_mongo_token().token
    with failing(mongo, "find", 18), pytest.raises(SignInFailed, match="add its object id"):
        provider.validate_mongo_access(token, collection=mongo["access"]["rows"])
