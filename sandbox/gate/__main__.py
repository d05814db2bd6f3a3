"""``python -m sandbox.gate``: a MONGODB-OIDC gate in front of one MongoDB, on loopback."""

import argparse
import asyncio
import ipaddress
import json
import logging
import signal
import ssl
import sys
import time
from collections.abc import Sequence

from sandbox.gate.policy import Policy
from sandbox.gate.server import Address, CannotListen, Gate
from sandbox.gate.tokens import JwksEndpoint, SigningKeys, TokenVerifier

USAGE_ERROR = 2  # the exit code of everything that the command line can mend


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    options = _parser().parse_args(arguments)
    _log_to_stderr()
    try:
        endpoint = JwksEndpoint(options.jwks_url, _tls(options.ca_file))
        certificate = _certificate(options.tls_cert_file, options.tls_key_file)
        return asyncio.run(_serve(options, endpoint, certificate))
    except (CannotListen, ValueError) as error:
        print(f"gate: {error}", file=sys.stderr)
        return USAGE_ERROR


async def _serve(
    options: argparse.Namespace, endpoint: JwksEndpoint, certificate: ssl.SSLContext | None
) -> int:
    verifier = TokenVerifier(
        keys=SigningKeys(endpoint, window=options.keys_window),
        issuer=options.issuer,
        audience=options.audience,
        principals=frozenset(options.principal),
    )
    gate = Gate(
        listen=options.listen,
        upstream=options.upstream,
        policy=Policy(verifier, restricted=not options.unrestricted),
        control=Address("127.0.0.1", options.control_port)
        if options.control_port is not None
        else None,
        tls=certificate,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await gate.start()
    # One line of JSON, for whoever asked for port 0.
    print(json.dumps({"port": gate.port, "control_port": gate.control_port}), flush=True)
    try:
        await stop.wait()
    finally:
        await gate.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.gate", description=__doc__)
    parser.add_argument("--listen", type=_loopback, required=True, metavar="HOST:PORT")
    parser.add_argument("--upstream", type=_address, required=True, metavar="HOST:PORT")
    parser.add_argument("--issuer", required=True, help="the only accepted iss, exactly")
    parser.add_argument("--audience", required=True, help="the only accepted aud, exactly")
    parser.add_argument(
        "--jwks-url", required=True, help="where the issuer publishes its keys; HTTPS, or loopback"
    )
    parser.add_argument("--ca-file", help="PEM file to trust for the keys (default: the system's)")
    parser.add_argument(
        "--principal",
        action="append",
        required=True,
        metavar="OID",
        help="object id of a principal that may sign in; may be repeated",
    )
    parser.add_argument(
        "--unrestricted",
        action="store_true",
        help="neither refuse nor hide what Azure DocumentDB lacks",
    )
    parser.add_argument("--tls-cert-file", metavar="PEM", help="speak TLS with this certificate")
    parser.add_argument("--tls-key-file", metavar="PEM", help="the certificate's private key")
    parser.add_argument("--control-port", type=_port, help="serve GET /stats on this port")
    parser.add_argument(
        "--keys-window",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="fetch the keys at most once in this time (default: %(default)s)",
    )
    return parser


def _address(text: str) -> Address:
    host, separator, port = text.rpartition(":")
    if not separator or not host:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:27017")
    return Address(host.strip("[]"), _port(port))


def _loopback(text: str) -> Address:
    address = _address(text)
    try:
        loopback = address.host == "localhost" or ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise argparse.ArgumentTypeError(
            f"{address.host!r} is not a loopback address; the gate is for this machine only. "
            "Use 127.0.0.1."
        )
    return address


def _port(text: str) -> int:
    # isdecimal, because int() would also take signs, blanks and underscores.
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port between 0 and 65535")
    return int(text)


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ValueError(f"--ca-file {ca_file}: not a PEM certificate ({error.reason})") from error
    except OSError as error:
        raise ValueError(f"--ca-file {ca_file}: {error.strerror}") from error


def _certificate(cert_file: str | None, key_file: str | None) -> ssl.SSLContext | None:
    if cert_file is None and key_file is None:
        return None
    if cert_file is None or key_file is None:
        raise ValueError("--tls-cert-file and --tls-key-file belong together: give both")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a passphrase of its own the library would ask for one at the terminal.
        context.load_cert_chain(cert_file, key_file, password=str)
    except ssl.SSLError as error:
        raise ValueError(
            f"--tls-cert-file {cert_file} and --tls-key-file {key_file}: not a PEM certificate and "
            f"its key without a passphrase ({error.reason})"
        ) from error
    except OSError as error:
        raise ValueError(
            f"--tls-cert-file {cert_file} and --tls-key-file {key_file}: {error.strerror}"
        ) from error
    return context


class _JsonLines(logging.Formatter):
    """One JSON object a line. Callers pass values in ``fields``; none is a token or a document."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "part": "gate",
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
