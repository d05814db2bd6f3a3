"""The steps where a fake token service or a certificate of the test's own is at work."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from finops.diagnosis.checks import exit_code
from replication.auth.azure_entra import AccessToken
from replication.auth.diagnosis.findings import Cause, Finding
from replication.auth.diagnosis.network import Node, reach
from replication.auth.diagnosis.probe import MongoProbe
from replication.auth.diagnosis.steps import Check, Step, StepResult, run
from replication.config import AuthMethod, MongoConfig, MongoPolicy
from sandbox.entra.tls import Certificates, ensure_certificates
from tests.conftest import GateFactory
from tests.replication.tokens import SCOPE
from tests.sandbox.gate_running import PRINCIPAL, RunningGate, TokenIssuer

TENANT = "7a1f0c52-3c1d-4d86-9b53-6f0f9d1c2e11"
POLICY = MongoPolicy(audiences={"localhost": SCOPE}, allowed_hosts=("localhost",), sandbox=True)
Probing = Callable[..., list[StepResult]]


class Minted:
    """A token service that gives what a test mints."""

    def __init__(self, token: str, *, lifetime: float = 3600.0) -> None:
        self.token, self.expires_at = token, time.time() + lifetime

    def request_token(self, scope: str) -> AccessToken:
        return AccessToken(self.token, self.expires_at)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return ensure_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def probing() -> Iterator[Probing]:
    """Walks the steps of a gate's connection, with a token that the test mints."""
    probes: list[MongoProbe] = []

    def walk(gate: RunningGate, source: Minted, *, uri: str = "") -> list[StepResult]:
        config = MongoConfig(
            connection_uri=uri or gate.uri, auth_method=AuthMethod.ENTRA, tenant_id=TENANT
        )
        probe = MongoProbe(config, timeout=5.0, policy=POLICY, source=source)
        probes.append(probe)
        steps = [
            Step(Check.CONFIGURATION, probe.check_configuration),
            Step(Check.DNS, probe.look_up),
            Step(Check.TLS, probe.reach),
            Step(Check.TOKEN, probe.request_token),
            Step(Check.SIGN_IN, probe.sign_in),
            Step(Check.PING, probe.ping),
        ]
        return list(run(steps, timeout=5.0))

    yield walk
    for probe in probes:
        probe.close()


def failure(results: list[StepResult]) -> tuple[StrEnum, Cause | None]:
    return results[-1].check, results[-1].cause


def test_over_tls_the_certificate_is_shown(
    gate_factory: GateFactory, token_issuer: TokenIssuer, files: Certificates, probing: Probing
) -> None:
    gate = gate_factory(tls=files.server_context())
    results = probing(gate, Minted(token_issuer.mint()), uri=f"{gate.uri}&tlsCAFile={files.ca}")
    assert [result.ok for result in results] == [True] * 6, results[-1]
    facts = results[2].facts
    assert facts["tls"] is facts["verified"] is True
    assert facts["certificate_days"] in {3648, 3649, 3650}


def test_a_ca_that_is_not_trusted(
    gate_factory: GateFactory, token_issuer: TokenIssuer, files: Certificates, probing: Probing
) -> None:
    results = probing(gate_factory(tls=files.server_context()), Minted(token_issuer.mint()))
    assert failure(results) == (Check.TLS, Cause.CERTIFICATE)
    assert "issuer certificate" in results[-1].detail
    assert "tlsCAFile" in str(results[-1].remedy)


def test_a_server_without_tls(
    gate_factory: GateFactory, token_issuer: TokenIssuer, probing: Probing
) -> None:
    gate = gate_factory()
    uri = gate.uri.replace("tls=false", "tls=true")
    results = probing(gate, Minted(token_issuer.mint()), uri=uri)
    assert failure(results) == (Check.TLS, Cause.UNREACHABLE)
    assert "does not speak TLS" in results[-1].detail


def test_an_expired_certificate(
    gate_factory: GateFactory, files: Certificates, tmp_path: Path
) -> None:
    gate = gate_factory(tls=_expired(tmp_path))
    nodes = (Node("localhost", gate.port),)
    trusting = {"tls": True, "tlsCAFile": str(tmp_path / "expired.pem")}
    (result,) = run([Step(Check.TLS, lambda: reach(nodes, trusting, timeout=5.0))], timeout=5.0)
    assert result.cause is Cause.CERTIFICATE
    assert "expired" in result.detail


def test_by_the_servers_clock_the_token_has_expired(
    gate_factory: GateFactory, token_issuer: TokenIssuer, probing: Probing
) -> None:
    source = Minted(token_issuer.mint())
    token_issuer.advance(7200)
    results = probing(gate_factory(), source)
    assert failure(results) == (Check.SIGN_IN, Cause.TOKEN_EXPIRED)
    assert "clock" in str(results[-1].remedy)


def test_by_our_clock_the_token_has_expired(
    gate_factory: GateFactory, token_issuer: TokenIssuer, probing: Probing
) -> None:
    results = probing(gate_factory(), Minted(token_issuer.mint(), lifetime=-5))
    assert failure(results) == (Check.TOKEN, Cause.TOKEN_EXPIRED)


def test_a_principal_that_is_no_user_of_the_cluster(
    gate_factory: GateFactory, token_issuer: TokenIssuer, probing: Probing
) -> None:
    results = probing(gate_factory(), Minted(token_issuer.mint(oid="0-stranger")))
    assert failure(results) == (Check.SIGN_IN, Cause.UNKNOWN_PRINCIPAL)
    assert "0-stranger" in str(results[-1].remedy)


def test_a_token_of_another_tenant(
    gate_factory: GateFactory, token_issuer: TokenIssuer, probing: Probing
) -> None:
    results = probing(gate_factory(), Minted(token_issuer.mint(tid="another")))
    assert failure(results) == (Check.TOKEN, Cause.WRONG_TENANT)


def test_a_token_for_another_service(
    gate_factory: GateFactory, token_issuer: TokenIssuer, probing: Probing
) -> None:
    results = probing(gate_factory(), Minted(token_issuer.mint(aud="https://vault.azure.net")))
    assert failure(results) == (Check.TOKEN, Cause.WRONG_AUDIENCE)


def test_a_signature_that_the_server_does_not_know(
    gate_factory: GateFactory, token_issuer: TokenIssuer, probing: Probing
) -> None:
    head, body, _signature = token_issuer.mint().split(".")
    results = probing(gate_factory(), Minted(f"{head}.{body}.{'A' * 342}"))
    assert failure(results) == (Check.SIGN_IN, Cause.SIGN_IN_REFUSED)
    assert PRINCIPAL in results[-1].detail


def test_a_step_without_end_is_ended(new_event: Callable[[], Finding]) -> None:
    began = time.monotonic()
    (result,) = run([Step(Check.DNS, new_event)], timeout=0.2)
    assert time.monotonic() - began < 2
    assert result.cause is Cause.TIMED_OUT
    assert exit_code(result) == 11


@pytest.fixture
def new_event() -> Iterator[Callable[[], Finding]]:
    released = threading.Event()

    def wait() -> Finding:
        released.wait(20)
        return Finding("")

    yield wait
    released.set()


def _expired(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now - timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    pem = certificate.public_bytes(encoding)
    (folder / "expired.pem").write_bytes(pem)
    private = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context
