"""Nobody slips past the gate: hostile tokens and frames, through a real socket.

The server behind only listens and records: whatever the gate lets through would show there.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping

import bson
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.conftest import GateFactory
from tests.sandbox.gate_running import (
    AUDIENCE,
    OP_COMPRESSED,
    OP_GET_MORE,
    RawClient,
    RecordingUpstream,
    RunningGate,
    TokenIssuer,
    frame,
    message,
    private_key,
    query,
    sasl_start,
)
from tests.waiting import wait_until

FIND = {"find": "secrets", "$db": "finops"}
HELLO = {"hello": 1, "$db": "admin"}


@pytest.fixture
def upstream() -> Iterator[RecordingUpstream]:
    recorder = RecordingUpstream()
    yield recorder
    recorder.stop()


@pytest.fixture
def gate(upstream: RecordingUpstream, gate_factory: GateFactory) -> Iterator[RunningGate]:
    gate = gate_factory(upstream.port)
    yield gate
    gate.stop()


@pytest.fixture
def client(gate: RunningGate) -> Iterator[RawClient]:
    with RawClient(gate.port) as client:
        yield client


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(issuer: TokenIssuer) -> str:
    return f"{part({'alg': 'none', 'kid': issuer.key_id})}.{part(issuer.claims())}."


def signed_with_the_public_key(issuer: TokenIssuer) -> str:
    """HS256 with the published key as the secret: accepted where the token picks its algorithm."""
    public = issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    content = f"{part({'alg': 'HS256', 'kid': issuer.key_id})}.{part(issuer.claims())}"
    digest = hmac.new(public, content.encode(), hashlib.sha256).digest()
    return f"{content}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def signed_by_another(issuer: TokenIssuer, **headers: object) -> str:
    return jwt.encode(
        issuer.claims(), private_key(1), "RS256", headers={"kid": issuer.key_id, **headers}
    )


def tampered(issuer: TokenIssuer) -> str:
    head, _, signature = issuer.mint().split(".")
    return f"{head}.{part({**issuer.claims(), 'name': 'somebody else'})}.{signature}"


HOSTILE: dict[str, tuple[Callable[[TokenIssuer], object], str]] = {
    "no token": (lambda _: None, "missing"),
    "not a string": (lambda _: 7, "missing"),
    "garbage": (lambda _: "garbage", "format"),
    "three parts of garbage": (lambda _: "a.b.c", "format"),
    "huge": (lambda _: "a" * 100_000, "format"),
    "a header nested deeply": (lambda _: f"{part(deep())}.e30.e30", ""),
    "another audience": (lambda i: i.mint(aud="https://graph.microsoft.com"), "audience"),
    "a longer audience": (lambda i: i.mint(aud=AUDIENCE + "/"), "audience"),
    "several audiences": (lambda i: i.mint(aud=[AUDIENCE, "another"]), "audience"),
    "no audience": (lambda i: i.mint(aud=None), "audience"),
    "another issuer": (lambda i: i.mint(iss="https://sts.windows.net/another/"), "issuer"),
    "no issuer": (lambda i: i.mint(iss=None), "iss"),
    "expired": (lambda i: i.mint(-1), "expired"),
    "expired a moment ago": (lambda i: i.mint(-0.01), "expired"),
    "no exp": (lambda i: i.mint(exp=None), "expiry"),
    "exp that is no number": (lambda i: i.mint(exp="tomorrow"), "expiry"),
    "exp true": (lambda i: i.mint(exp=True), "expiry"),
    "exp NaN": (lambda i: i.mint(exp=math.nan), "expiry"),
    "exp infinite": (lambda i: i.mint(exp=math.inf), "expiry"),
    "exp beyond every number": (lambda i: i.mint(exp=10**400), "expiry"),
    "not yet valid": (lambda i: i.mint(nbf=i.claims()["exp"] - 60), "not valid yet"),
    "nbf that is no number": (lambda i: i.mint(nbf=[]), "not valid yet"),
    "alg none": (unsigned, "RS256"),
    "HS256 with the public key": (signed_with_the_public_key, "RS256"),
    "an unknown key id": (lambda i: signed_by_another(i, kid="unknown"), "does not publish"),
    "another key with the known id": (signed_by_another, "not valid"),
    "an own key in the header": (
        lambda i: signed_by_another(i, jwk={"kty": "RSA"}, jku="http://127.0.0.1/keys"),
        "not valid",
    ),
    "tampered": (tampered, "not valid"),
    "an unknown principal": (
        lambda i: i.mint(oid="99999999-2222-4333-8444-555555555555"),
        "External identity is not present in the system.",
    ),
    "no oid": (lambda i: i.mint(oid=None), "OID"),
    "oid that is no string": (lambda i: i.mint(oid=[i.claims()["oid"]]), "OID"),
}


def deep() -> object:
    value: object = 1
    for _ in range(400):
        value = [value]
    return value


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_token_is_refused_and_opens_nothing(
    kind: str, gate: RunningGate, client: RawClient, upstream: RecordingUpstream
) -> None:
    make, reason = HOSTILE[kind]
    token = make(gate.issuer)
    answer = client.sign_in(token)
    assert (answer["ok"], answer["code"], answer["codeName"]) == (0, 18, "AuthenticationFailed")
    assert reason in answer["errmsg"]
    assert str(token) not in answer["errmsg"] or token is None
    assert client.command(FIND)["code"] == 13
    assert (gate.statistics()["refused_18"], gate.statistics()["refused_13"]) == (1, 1)
    assert not upstream.received


def test_made_up_key_ids_do_not_press_on_the_issuer(gate: RunningGate, client: RawClient) -> None:
    gate.issuer.keys_reads = 0
    for number in range(50):
        token = signed_by_another(gate.issuer, kid=f"made up {number}")
        assert client.sign_in(token)["code"] == 18
    # The window of the tests' gates is 50 ms.
    assert gate.issuer.keys_reads < 25


@pytest.mark.parametrize(
    "change",
    [
        {"mechanism": "SCRAM-SHA-256"},
        {"mechanism": None},
        {"mechanism": "mongodb-oidc"},
        {"payload": None},
        {"payload": b"\x05\0\0\0\1"},
        {"payload": "text"},
        {"payload": 2**62},
        {"payload": bson.encode({"n": "a human's name"})},
    ],
    ids=str,
)
def test_other_mechanisms_and_payloads_are_refused(
    change: dict[str, object], client: RawClient, gate: RunningGate
) -> None:
    answer = client.command({**sasl_start(gate.issuer.mint()), **change})
    assert answer["code"] in {2, 18}
    assert client.command(FIND)["code"] == 13


@pytest.mark.parametrize("name", ["saslContinue", "authenticate", "getnonce", "copydbsaslstart"])
def test_other_ways_to_sign_in_are_refused(name: str, client: RawClient) -> None:
    assert client.command({name: 1, "$db": "admin"})["code"] in {13, 18}
    assert client.command(FIND)["code"] == 13


def document(value: Mapping[str, object]) -> bytes:
    return bson.encode(value)


def twice(first: Mapping[str, object], second: Mapping[str, object]) -> bytes:
    """A document with the elements of both, so that keys may repeat."""
    elements = document(first)[4:-1] + document(second)[4:-1] + b"\0"
    return struct.pack("<i", len(elements) + 4) + elements


def sequence(name: bytes, content: bytes) -> bytes:
    return b"\1" + struct.pack("<i", len(name) + 5 + len(content)) + name + b"\0" + content


# What is answered, by 13: the command that the server would run is the one that the gate sees.
SEEN_THROUGH: dict[str, bytes] = {
    "a find": message(FIND),
    "$db first": message({"$db": "finops", "find": "secrets"}),
    "lsid first": message({"lsid": {"id": 1}, "find": "secrets", "$db": "finops"}),
    "a find over OP_QUERY": query(FIND),
    "a wrapped find over OP_QUERY": query({"$query": FIND}),
    "a sequence before the body": frame(
        struct.pack("<I", 0) + sequence(b"hello", document(HELLO)) + b"\0" + document(FIND)
    ),
    "a checksum": message(FIND, flags=1, tail=b"\xef\xbe\xad\xde"),
    "find first, hello later": frame(b"\0\0\0\0\0" + twice(FIND, HELLO)),
    "no command": message({}),
    "a name in other letters": message({"HELLO": 1, "$db": "admin"}),
    "a name with an end inside": frame(
        b"\0\0\0\0\0" + document({"helloX": 1}).replace(b"helloX", b"\x00elloX")
    ),
    "exhaust allowed": message(FIND, flags=1 << 16),
}


@pytest.mark.parametrize("kind", SEEN_THROUGH)
def test_a_disguised_command_is_refused(
    kind: str, client: RawClient, gate: RunningGate, upstream: RecordingUpstream
) -> None:
    client.send(SEEN_THROUGH[kind])
    answer = client.receive()
    assert answer is not None
    assert answer["code"] == 13
    assert not upstream.received


# What ends the connection: it can be read in more than one way, or not at all.
UNREADABLE: dict[str, bytes] = {
    "OP_COMPRESSED": frame(struct.pack("<iiB", 2013, 64, 0) + message(FIND)[16:], OP_COMPRESSED),
    "OP_GET_MORE": frame(b"\0\0\0\0finops.secrets\0" + b"\0" * 12, OP_GET_MORE),
    "OP_INSERT": frame(b"\0\0\0\0finops.secrets\0" + document({"_id": 1}), 2002),
    "OP_REPLY": frame(b"\0" * 20 + document({"ok": 1}), 1),
    "an unknown opcode": frame(b"", 4711),
    "a negative length": frame(b"", length=-1),
    "a length of zero": frame(b"", length=0),
    "a length below a header": frame(b"", length=15),
    "an oversize length": frame(b"", length=48_000_001),
    "the largest length": frame(b"", length=2**31 - 1),
    "more than makes sense before a sign-in": frame(b"", length=2_000_000),
    "no flags": frame(b""),
    "unknown required flags": message(HELLO, flags=1 << 5),
    "two bodies": message(HELLO, tail=b"\0" + document(FIND)),
    "no body": frame(struct.pack("<I", 0)),
    "only a sequence": frame(struct.pack("<I", 0) + sequence(b"documents", document(FIND))),
    "an unknown kind of section": frame(b"\0\0\0\0\2" + document(FIND)),
    "a body longer than its frame": frame(b"\0\0\0\0\0" + struct.pack("<i", 1000) + b"\2hello\0"),
    "a body of negative length": frame(b"\0\0\0\0\0" + struct.pack("<i", -5) + b"\0" * 20),
    "a body with something behind it": message(HELLO, tail=b"\0\0"),
    "a body without an end": frame(b"\0\0\0\0\0" + document(HELLO)[:-1] + b"\1"),
    "a sequence of negative length": message(HELLO, tail=b"\1" + struct.pack("<i", -1) + b"a\0"),
    "a sequence without a name": message(HELLO, tail=b"\1" + struct.pack("<i", 10) + b"abcdef"),
    "a checksum that is missing": frame(struct.pack("<I", 1) + b"\0" + document(HELLO)),
    "a name that is not ASCII": message({"hellö": 1}),
    "OP_QUERY on a collection": query(FIND, namespace=b"finops.secrets"),
    "OP_QUERY without an end of its name": frame(b"\0\0\0\0admin", 2004),
    "OP_QUERY with a second document": frame(query(HELLO)[16:] + document(FIND), 2004),
    "a sign-in with a key twice": frame(
        b"\0\0\0\0\0" + twice(sasl_start("a.b.c"), {"payload": b""})
    ),
    "a sign-in that is not BSON": frame(
        b"\0\0\0\0\0" + document({"saslStart": 1, "a": {"b": 1}}).replace(b"\x10b\0", b"\x77b\0")
    ),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_frame_ends_the_connection(
    kind: str, client: RawClient, gate: RunningGate, upstream: RecordingUpstream
) -> None:
    with contextlib.suppress(ConnectionError):
        client.send(UNREADABLE[kind])
    assert client.receive() is None
    assert gate.statistics()["malformed"] == 1
    assert not upstream.received


@pytest.mark.parametrize("size", [0, 3, 15, 16, 20, 40])
def test_a_frame_that_breaks_off_reaches_nothing(
    size: int, gate: RunningGate, upstream: RecordingUpstream
) -> None:
    with RawClient(gate.port) as client:
        client.send(message(FIND)[:size])
    wait_until(lambda: gate.statistics()["connections"] == 1, what="the connection is seen")
    wait_until(lambda: not gate.statistics()["open_connections"], what="the connection is gone")
    assert not upstream.received


def test_before_sign_in_no_byte_of_the_client_reaches_the_server(
    client: RawClient, upstream: RecordingUpstream
) -> None:
    client.send(message({"hello": 1, "client": {"application": {"name": "marker"}}, "$db": "x"}))
    client.send(message({"ping": "marker", "find": "marker", "$db": "marker"}))
    client.send(frame(b"\0\0\0\0\0" + twice({"buildInfo": 1}, {"buildInfo": "marker"})))
    asked: list[dict[str, object]] = [{"hello": 1}, {"ping": 1}, {"buildInfo": 1}]
    expected = [{**command, "$db": "admin"} for command in asked]
    size = sum(len(message(command)) for command in expected)
    wait_until(lambda: len(upstream.received) == size, what="three questions of the gate's own")
    assert b"marker" not in upstream.received
    for command in expected:
        assert document(command) in upstream.received


def test_commands_behind_a_refused_sign_in_in_the_same_packet_are_refused(
    gate: RunningGate, client: RawClient, upstream: RecordingUpstream
) -> None:
    client.send(message(sasl_start(gate.issuer.mint(-1))) + message(FIND) + message(FIND))
    answers = [client.receive() for _ in range(3)]
    assert [answer and answer["code"] for answer in answers] == [18, 13, 13]
    assert not upstream.received
