"""The way to a cluster before MongoDB's own protocol: names, addresses, TLS."""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from replication.auth.diagnosis.findings import Cause, Finding, StepFailed
from replication.config import MongoConfig, MongoPolicy, host_refusal

SOON = 14  # days: a certificate that ends earlier is worth a word
_UNVERIFIED = ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")


@dataclass(frozen=True)
class Node:
    """A host and port of a cluster; ``port`` is None for a socket in the file system."""

    host: str
    port: int | None

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


def look_up(
    config: MongoConfig, *, timeout: float, policy: MongoPolicy | None
) -> tuple[tuple[Node, ...], Finding]:
    """Return the cluster's nodes, all of which have addresses.

    With ``policy`` every host must be one that it allows, those of an SRV record too. Raises
    ``StepFailed``.
    """
    srv = config.connection_uri.startswith("mongodb+srv://")
    try:
        found = parse_uri(config.connection_uri, connect_timeout=timeout)["nodelist"]
    except PyMongoError as error:
        raise StepFailed(
            Cause.NAME_NOT_FOUND,
            f"The SRV record of {', '.join(config.hosts)} could not be read"
            f" ({type(error).__name__}).",
            "Check the cluster's name, and that this machine's DNS resolves it; a private endpoint"
            " needs its private DNS zone linked to this network.",
        ) from None
    nodes = tuple(Node(host, port) for host, port in found)
    foreign = (
        [] if policy is None else [node.host for node in nodes if not policy.allows(node.host)]
    )
    if foreign:
        raise StepFailed(
            Cause.HOST_NOT_ALLOWED,
            "The SRV record leads elsewhere: " + " ".join(host_refusal(host) for host in foreign),
            "Add the suffix to MONGO_ALLOWED_HOSTS only if you know whose hosts these are.",
        )
    addresses = {str(node): _addresses(node) for node in nodes}
    shown = "; ".join(f"{node} is {', '.join(found)}" for node, found in addresses.items())
    return nodes, Finding(f"{'SRV: ' if srv else ''}{shown}", {"srv": srv, "addresses": addresses})


def _addresses(node: Node) -> list[str]:
    if node.port is None:
        return ["a socket of this machine"]
    try:
        infos = socket.getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise StepFailed(
            Cause.NAME_NOT_FOUND,
            f"{node.host} has no address here ({error.strerror or type(error).__name__}).",
            "Check the host's name, and that this machine's DNS resolves it; a private endpoint"
            " needs its private DNS zone linked to this network.",
        ) from None
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def reach(nodes: Iterable[Node], options: Mapping[str, Any], *, timeout: float) -> Finding:
    """Connect to the nodes, by TLS where the address says so. One that answers is enough.

    Raises ``StepFailed``: the reason of the first node, when none answers.
    """
    connect = _by_tls(options) if options.get("tls") else _by_tcp
    deadline = time.monotonic() + timeout
    answered: list[Finding] = []
    failures: list[StepFailed] = []
    for node in nodes:
        try:
            answered.append(connect(node, max(deadline - time.monotonic(), 0.1)))
        except StepFailed as failure:
            failures.append(failure)
    if not answered:
        raise failures[0]
    silent = [str(failure) for failure in failures]
    return Finding(" ".join([answered[0].detail, *silent]), {**answered[0].facts, "silent": silent})


def _by_tcp(node: Node, timeout: float) -> Finding:
    if node.port is not None:
        with _connection(node, timeout):
            pass
    return Finding("off, so what is sent can be read on the way", {"tls": False})


def _by_tls(options: Mapping[str, Any]) -> Callable[[Node, float], Finding]:
    context = ssl.create_default_context(cafile=options.get("tlsCAFile"))
    if any(options.get(name) for name in _UNVERIFIED):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if key_file := options.get("tlsCertificateKeyFile"):
        context.load_cert_chain(key_file, password=options.get("tlsCertificateKeyFilePassword"))

    def connect(node: Node, timeout: float) -> Finding:
        with _connection(node, timeout) as plain, _handshake(context, plain, node) as secured:
            return _certificate_of(secured)

    return connect


def _connection(node: Node, timeout: float) -> socket.socket:
    try:
        return socket.create_connection((node.host, node.port or 0), timeout)
    except OSError as error:
        raise StepFailed(
            Cause.UNREACHABLE,
            f"{node} does not take connections ({error.strerror or 'no answer in time'}).",
            "Check the port, the cluster's firewall rules for this machine's address, and the"
            " network policies on the way.",
        ) from None


def _handshake(context: ssl.SSLContext, plain: socket.socket, node: Node) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(plain, server_hostname=node.host)
    except ssl.SSLCertVerificationError as error:
        raise StepFailed(
            Cause.CERTIFICATE,
            f"{node} shows a certificate that is not to be trusted: {error.verify_message}.",
            "Check the host's name in the address; where a CA of your own signs, name it with"
            " tlsCAFile. Never switch the check off: whoever is in between would get the token.",
        ) from None
    except OSError as error:
        raise StepFailed(
            Cause.UNREACHABLE,
            f"{node} takes connections but does not speak TLS ({type(error).__name__}).",
            "Check that the port is MongoDB's, and that TLS is on at the server.",
        ) from None


def _certificate_of(secured: ssl.SSLSocket) -> Finding:
    encoded = secured.getpeercert(binary_form=True) or b""
    ends = x509.load_der_x509_certificate(encoded).not_valid_after_utc
    days = (ends - datetime.now(UTC)).days
    verified = secured.context.verify_mode is ssl.CERT_REQUIRED
    words = [
        f"{secured.version()}, the certificate ends in {days:,} days ({ends:%Y-%m-%d})",
        "" if verified else "and is NOT VERIFIED",
        f"(soon: less than {SOON})" if days < SOON else "",
    ]
    return Finding(
        " ".join(filter(None, words)),
        {
            "tls": True,
            "version": secured.version(),
            "verified": verified,
            "certificate_ends": ends.isoformat(),
            "certificate_days": days,
        },
    )
