"""The states of a connection: 13 before sign-in, 391 after expiry, and its look from outside."""

from collections.abc import Iterator

import pytest
from bson.binary import Binary
from pymongo.uri_parser import parse_uri

from tests.conftest import GateFactory
from tests.sandbox.gate_running import (
    RawClient,
    RunningGate,
    message,
    query,
    sasl_start,
)

PING = {"ping": 1, "$db": "admin"}
FIND = {"find": "things", "$db": "gate_sign_in"}


@pytest.fixture
def gate(gate_factory: GateFactory) -> RunningGate:
    return gate_factory()


@pytest.fixture
def client(gate: RunningGate) -> Iterator[RawClient]:
    with RawClient(gate.port) as client:
        yield client


def expire(client: RawClient, gate: RunningGate) -> None:
    """Sign in, and let the token expire."""
    assert client.sign_in(gate.issuer.mint())["ok"] == 1
    assert client.command(PING)["ok"] == 1
    gate.issuer.advance(3600)


def test_a_good_token_signs_in_in_one_step(gate: RunningGate, client: RawClient) -> None:
    assert client.command(FIND)["code"] == 13
    answer = client.sign_in(gate.issuer.mint())
    assert answer == {"conversationId": 1, "done": True, "payload": b"", "ok": 1.0}
    assert client.command(FIND)["ok"] == 1
    assert gate.statistics()["sasl_ok"] == 1


def test_before_sign_in_a_client_may_only_look_around(client: RawClient) -> None:
    for name in ("hello", "isMaster", "ismaster", "ping", "buildInfo", "buildinfo"):
        assert client.command({name: 1, "$db": "admin"})["ok"] == 1, name
    assert client.command({"endSessions": [], "$db": "admin"})["ok"] == 1
    for name in ("serverStatus", "listDatabases", "getMore", "killSessions", "shutdown"):
        answer = client.command({name: 1, "$db": "admin"})
        assert (answer["code"], answer["codeName"]) == (13, "Unauthorized")
        assert name in answer["errmsg"]


def test_after_expiry_everything_but_signing_in_is_391(
    gate: RunningGate, client: RawClient
) -> None:
    expire(client, gate)
    for command in (PING, FIND, {"hello": 1, "$db": "admin"}, {"endSessions": [], "$db": "admin"}):
        answer = client.command(command)
        assert (answer["code"], answer["codeName"]) == (391, "ReauthenticationRequired")
    assert client.sign_in(gate.issuer.mint())["ok"] == 1
    assert client.command(FIND)["ok"] == 1


def test_it_stays_391_while_signing_in_again_fails(gate: RunningGate, client: RawClient) -> None:
    expire(client, gate)
    for token in (gate.issuer.mint(-1), "garbage", gate.issuer.mint(aud="another")):
        assert client.sign_in(token)["code"] == 18
        assert client.command(FIND)["code"] == 391
    assert gate.statistics()["refused_13"] == 0


def test_an_early_sign_in_fails_and_changes_nothing(gate: RunningGate, client: RawClient) -> None:
    assert client.sign_in(gate.issuer.mint())["ok"] == 1
    answer = client.sign_in(gate.issuer.mint())
    assert (answer["code"], answer["codeName"]) == (1, "InternalError")
    assert answer["errmsg"] == "Authentication expiry timer is already initialized"
    assert client.sign_in("garbage")["code"] == 18
    assert client.command(FIND)["ok"] == 1


def test_logging_out_is_as_never_signed_in(gate: RunningGate, client: RawClient) -> None:
    assert client.sign_in(gate.issuer.mint())["ok"] == 1
    assert client.command({"logout": 1, "$db": "admin"}) == {"ok": 1.0}
    assert client.command(FIND)["code"] == 13
    assert client.sign_in(gate.issuer.mint())["ok"] == 1


@pytest.mark.parametrize("name", ["hello", "isMaster"])
def test_hello_looks_like_a_mongos_without_address(
    name: str, gate: RunningGate, client: RawClient, mongo_server: str
) -> None:
    port = str(parse_uri(mongo_server)["nodelist"][0][1])
    client.send(query({name: 1, "helloOk": True, "compression": ["zlib"]}))
    over_query = client.receive()
    over_msg = client.command({name: 1, "compression": ["zlib"], "$db": "admin"})
    for answer in (over_query, over_msg):
        assert answer is not None
        assert answer["msg"] == "isdbgrid"
        assert answer["isWritablePrimary" if name == "hello" else "ismaster"] is True
        assert answer["maxWriteBatchSize"] <= 25_000
        assert answer["logicalSessionTimeoutMinutes"] == 30
        assert port not in str(answer)
        absent = {"hosts", "me", "primary", "setName", "topologyVersion", "compression"}
        assert not absent & set(answer)


def test_signing_in_ahead_within_hello_is_ignored(gate: RunningGate, client: RawClient) -> None:
    for token in (gate.issuer.mint(), "garbage"):
        ahead = {**sasl_start(token), "db": "$external"}
        answer = client.command({"hello": 1, "speculativeAuthenticate": ahead, "$db": "admin"})
        assert answer["ok"] == 1
        assert "speculativeAuthenticate" not in answer
    assert client.command(FIND)["code"] == 13
    assert gate.statistics()["sasl_ok"] == 0


def test_a_hello_that_waits_and_streams_is_answered_once_and_at_once(client: RawClient) -> None:
    version = {"processId": Binary(b"x" * 12), "counter": 1}
    hello = {"hello": 1, "maxAwaitTimeMS": 60_000, "topologyVersion": version, "$db": "admin"}
    client.send(message(hello, flags=1 << 16))
    answer = client.receive()
    assert answer is not None
    assert answer["msg"] == "isdbgrid"
    assert client.command(PING)["ok"] == 1


def test_what_wants_no_answer_gets_none(gate: RunningGate, client: RawClient) -> None:
    for command in (FIND, sasl_start("garbage"), {"hello": 1, "$db": "admin"}):
        client.send(message(command, flags=2))
    assert client.command(PING)["ok"] == 1
    assert client.sign_in(gate.issuer.mint())["ok"] == 1
    insert = {"insert": "things", "documents": [{"n": 1}], "$db": "gate_sign_in"}
    client.send(message({**insert, "writeConcern": {"w": 0}}, flags=2))
    assert client.command({"count": "things", "$db": "gate_sign_in"})["n"] >= 1


def test_after_sign_in_op_query_is_still_for_hello_only(
    gate: RunningGate, client: RawClient
) -> None:
    assert client.sign_in(gate.issuer.mint())["ok"] == 1
    client.send(query(FIND))
    answer = client.receive()
    assert answer is not None
    assert (answer["code"], answer["codeName"]) == (352, "UnsupportedOpQueryCommand")
    client.send(query({"isMaster": 1}))
    answer = client.receive()
    assert answer is not None
    assert answer["msg"] == "isdbgrid"


@pytest.mark.parametrize("first", ["$db", "", "find.x"])
def test_after_sign_in_a_command_has_a_name(
    first: str, gate: RunningGate, client: RawClient
) -> None:
    assert client.sign_in(gate.issuer.mint())["ok"] == 1
    answer = client.command({first: "things", "find": "things"})
    assert (answer["code"], answer["codeName"]) == (59, "CommandNotFound")


def test_a_checksum_and_a_sequence_in_front_pass(gate: RunningGate, client: RawClient) -> None:
    assert client.sign_in(gate.issuer.mint())["ok"] == 1
    client.send(message(PING, flags=1, tail=b"\0\0\0\0"))
    answer = client.receive()
    assert answer is not None
    assert answer["ok"] == 1
