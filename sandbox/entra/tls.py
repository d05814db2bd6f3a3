"""The certificate authority of the sandbox, and the server certificate that it signs.

The authority may sign for loopback names only (name constraints), so that a copy of its key is
worth nothing elsewhere. The certificates satisfy ``VERIFY_X509_STRICT``, which Python 3.13 turns
on.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.entra.private_files import DamagedState, read_if_there, write_private

LIFETIME = timedelta(days=3650)
_RENEW_BEFORE = timedelta(days=30)
_NO_USAGE = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


@dataclass(frozen=True)
class Certificates:
    """Where the files are: the authority's certificate, the server's chain and its key."""

    ca: Path
    chain: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """A TLS context for a server on localhost."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.chain, self.key)
        return context


def ensure_certificates(directory: Path) -> Certificates:
    """Use the certificates in ``directory``; make what is missing or about to end.

    Raises ``DamagedState`` for a file that is there but is no certificate or no key.
    """
    files = Certificates(
        ca=directory / "ca.pem", chain=directory / "server.pem", key=directory / "server-key.pem"
    )
    authority_key_file = directory / "ca-key.pem"
    authority_key = _load_key(authority_key_file)
    authority = _load_certificate(files.ca)
    if authority is None or authority_key is None or _ends_soon(authority):
        authority_key = ec.generate_private_key(ec.SECP256R1())
        authority = _new_authority(authority_key)
        write_private(authority_key_file, _pem(authority_key))
        write_private(files.ca, authority.public_bytes(serialization.Encoding.PEM), mode=0o644)
    server = _load_certificate(files.chain)
    if (
        server is None
        or _load_key(files.key) is None
        or _ends_soon(server)
        or not _signed_by(server, authority)
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        server = _new_server_certificate(key, authority, authority_key)
        write_private(files.key, _pem(key))
        write_private(files.chain, server.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return files


def _new_authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("FinOps Dashboard sandbox authority")
    constraints = x509.NameConstraints(
        permitted_subtrees=[
            x509.DNSName("localhost"),
            x509.IPAddress(IPv4Network("127.0.0.0/8")),
            x509.IPAddress(IPv6Network("::1/128")),
        ],
        excluded_subtrees=None,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .add_extension(constraints, critical=True)
        .sign(key, hashes.SHA256())
    )


def _new_server_certificate(
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.IPAddress(IPv4Address("127.0.0.1")),
            x509.IPAddress(IPv6Address("::1")),
        ]
    )
    of_authority = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(_name("localhost"), authority.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(names, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(of_authority),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A day of slack for a clock that is set back after the first start.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*granted: str) -> x509.KeyUsage:
    return x509.KeyUsage(**_NO_USAGE | dict.fromkeys(granted, True))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _load_certificate(path: Path) -> x509.Certificate | None:
    content = read_if_there(path)
    if content is None:
        return None
    try:
        return x509.load_pem_x509_certificate(content)
    except ValueError as error:
        raise DamagedState(path, "is not a PEM certificate") from error


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    content = read_if_there(path)
    if content is None:
        return None
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise DamagedState(path, "is not a PEM private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise DamagedState(path, "is not an elliptic-curve key")
    return key


def _ends_soon(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - datetime.now(UTC) < _RENEW_BEFORE


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
