"""Signing keys are fetched once per window, and verification says why it refuses."""

import asyncio
import json
import math
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sandbox.gate.tokens import (
    JwksEndpoint,
    KeysUnavailable,
    SigningKeys,
    TokenRefused,
    TokenVerifier,
)
from tests.sandbox.gate_running import AUDIENCE, ISSUER, PRINCIPAL, TokenIssuer, private_key


class FakeSource:
    """Publishes what a test says, and counts how often it is read."""

    def __init__(self, issuer: TokenIssuer) -> None:
        self.issuer = issuer
        self.reads = 0
        self.down = False

    def fetch(self) -> Mapping[str, jwt.PyJWK]:
        self.reads += 1
        if self.down:
            raise KeysUnavailable("the issuer is down")
        (key,) = self.issuer.key_set()["keys"]
        return {key["kid"]: jwt.PyJWK(key)}


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def source(token_issuer: TokenIssuer) -> FakeSource:
    return FakeSource(token_issuer)


def verifier(source: FakeSource, clock: Clock, *, now: Clock | None = None) -> TokenVerifier:
    settings = {"issuer": ISSUER, "audience": AUDIENCE, "principals": frozenset({PRINCIPAL})}
    keys = SigningKeys(source, window=10, clock=clock)
    if now is None:
        return TokenVerifier(keys=keys, **settings)  # type: ignore[arg-type]  # one dict, many types
    return TokenVerifier(keys=keys, clock=now, **settings)  # type: ignore[arg-type]  # the same


def test_keys_are_read_at_the_first_token_and_again_for_an_unknown_key_only(
    source: FakeSource, token_issuer: TokenIssuer
) -> None:
    clock = Clock()
    subject = verifier(source, clock)

    async def sign_ins() -> None:
        for _ in range(3):
            await subject.verify(token_issuer.mint())
        assert source.reads == 1
        token_issuer.rotate()
        with pytest.raises(TokenRefused, match="does not publish"):
            await subject.verify(token_issuer.mint())
        assert source.reads == 1, "one fetch a window"
        clock.now += 10
        assert (await subject.verify(token_issuer.mint())).principal == PRINCIPAL
        assert source.reads == 2

    asyncio.run(sign_ins())


def test_sign_ins_at_the_same_time_share_one_fetch(
    source: FakeSource, token_issuer: TokenIssuer
) -> None:
    subject = verifier(source, Clock())

    async def sign_ins() -> None:
        await asyncio.gather(*(subject.verify(token_issuer.mint()) for _ in range(20)))

    asyncio.run(sign_ins())
    assert source.reads == 1


def test_known_keys_stay_good_while_the_issuer_is_down(
    source: FakeSource, token_issuer: TokenIssuer
) -> None:
    clock = Clock()
    subject = verifier(source, clock)
    source.down = True

    async def sign_ins() -> None:
        with pytest.raises(TokenRefused, match="cannot be read at the moment"):
            await subject.verify(token_issuer.mint())
        source.down = False
        clock.now += 10
        await subject.verify(token_issuer.mint())
        source.down = True
        good = token_issuer.mint()
        token_issuer.rotate()
        clock.now += 10
        with pytest.raises(TokenRefused, match="cannot be read at the moment"):
            await subject.verify(token_issuer.mint())
        await subject.verify(good)

    asyncio.run(sign_ins())


def test_fractions_of_a_second_count(source: FakeSource, token_issuer: TokenIssuer) -> None:
    now = Clock()
    subject = verifier(source, Clock(), now=now)
    token = token_issuer.mint(exp=1000.5, nbf=999.5)

    async def sign_ins() -> None:
        assert (await subject.verify(token)).expires_at == pytest.approx(1000.5)
        now.now = 1000.49
        await subject.verify(token)
        now.now = 1000.5
        with pytest.raises(TokenRefused, match="expired"):
            await subject.verify(token)
        now.now = 999.4
        with pytest.raises(TokenRefused, match="not valid yet"):
            await subject.verify(token)

    asyncio.run(sign_ins())


@pytest.mark.parametrize(
    "url", ["http://example.com/keys", "ftp://localhost/keys", "localhost:80/keys", "http:///keys"]
)
def test_keys_are_fetched_over_https_or_from_loopback_only(url: str) -> None:
    with pytest.raises(ValueError, match=r"clear|not an http"):
        JwksEndpoint(url)


def test_only_rsa_signing_keys_are_taken(token_issuer: TokenIssuer) -> None:
    (key,) = token_issuer.key_set()["keys"]
    token_issuer.key_set = lambda: {  # type: ignore[method-assign]  # what this issuer publishes
        "keys": [key, {**key, "kid": "enc", "use": "enc"}, {"kty": "oct", "kid": "o", "k": "AA"}]
    }
    assert list(JwksEndpoint(token_issuer.keys_url).fetch()) == [key["kid"]]


@pytest.mark.parametrize(
    "body", [{}, {"keys": 1}, {"keys": [{"kty": "RSA"}]}, [], math.pi], ids=str
)
def test_something_else_than_keys_is_said_to_be_so(body: object, token_issuer: TokenIssuer) -> None:
    token_issuer.key_set = lambda: json.loads(  # type: ignore[method-assign]  # what it publishes
        json.dumps(body)
    )
    with pytest.raises(KeysUnavailable, match="not a JSON Web Key Set"):
        JwksEndpoint(token_issuer.keys_url).fetch()


def test_an_issuer_that_does_not_answer_is_named() -> None:
    with pytest.raises(KeysUnavailable, match=r"http://127\.0\.0\.1:1/keys"):
        JwksEndpoint("http://127.0.0.1:1/keys").fetch()


def self_signed(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1 and its key to one file."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key(0).public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(private_key(0), hashes.SHA256())
    )
    key = private_key(0).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    file = folder / "certificate.pem"
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + key)
    return file


def test_over_tls_only_the_given_authority_is_trusted(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    issuer = TokenIssuer(server)
    try:
        trusting = ssl.create_default_context(cafile=str(certificate))
        assert list(JwksEndpoint(issuer.keys_url, trusting).fetch()) == [issuer.key_id]
        with pytest.raises(KeysUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            JwksEndpoint(issuer.keys_url, ssl.create_default_context()).fetch()
    finally:
        issuer.stop()
