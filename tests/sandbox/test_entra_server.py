"""The listeners: TLS for strict clients, nobody who blocks, and a process that ends well."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from cryptography import x509

from sandbox.entra.__main__ import main
from sandbox.entra.client import EntraControl
from sandbox.entra.faults import Endpoints, FaultKind
from sandbox.entra.private_files import DamagedState
from sandbox.entra.server import EntraServer, Options
from tests.sandbox.entra_fixtures import Entra


def port_of(origin: str) -> int:
    return int(origin.rpartition(":")[2])


@pytest.fixture
def copied_state(entra: Entra, tmp_path: Path) -> Path:
    """The state folder of a fake that ran before: making keys takes its time."""
    return shutil.copytree(entra.server.ca_file.parent, tmp_path / "state")


def strict_context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "sandbox.entra", *arguments]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_strict_verification_accepts_the_certificate(entra: Entra, name: str) -> None:
    address = ("127.0.0.1", port_of(entra.addresses.tls))
    with (
        socket.create_connection(address, timeout=5) as plain,
        strict_context(entra.ca).wrap_socket(plain, server_hostname=name) as tls,
    ):
        assert tls.version() in {"TLSv1.2", "TLSv1.3"}


def test_another_name_is_not_accepted(entra: Entra) -> None:
    address = ("127.0.0.1", port_of(entra.addresses.tls))
    with socket.create_connection(address, timeout=5) as plain:
        context = strict_context(entra.ca)
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            context.wrap_socket(plain, server_hostname="login.microsoftonline.com")


def test_without_the_authority_nothing_is_accepted(entra: Entra) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(entra.addresses.discovery, timeout=5)


def test_certificates_last_ten_years(entra: Entra) -> None:
    for name in ("ca.pem", "server.pem"):
        pem = entra.server.ca_file.with_name(name).read_bytes()
        ends = x509.load_pem_x509_certificate(pem).not_valid_after_utc
        assert (ends - datetime.now(UTC)).days >= 3649


def test_private_files_are_private(entra: Entra) -> None:
    modes = {
        file.name: file.stat().st_mode & 0o777 for file in entra.server.ca_file.parent.iterdir()
    }

    public = {"ca.pem", "server.pem"}
    assert {modes[name] for name in public} == {0o644}
    assert {mode for name, mode in modes.items() if name not in public} == {0o600}
    assert len(modes) == 9


def test_silent_clients_keep_nobody_waiting(entra: Entra) -> None:
    with ExitStack() as stack:
        for origin in (entra.addresses.tls, entra.addresses.pages) * 20:
            stack.enter_context(socket.create_connection(("127.0.0.1", port_of(origin))))

        assert entra.get(entra.addresses.discovery).elapsed.total_seconds() < 2


def test_plain_http_on_the_tls_port_is_dropped(entra: Entra) -> None:
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(entra.addresses.discovery.replace("https", "http"), timeout=5)

    assert entra.get(entra.addresses.discovery).status_code == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 9999999999", b"413"),
        (b"Content-Length: -5", b"411"),
        (b"Content-Length: many", b"411"),
        (b"Transfer-Encoding: chunked", b"411"),
    ],
)
def test_an_unreadable_body_is_refused(entra: Entra, head: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port_of(entra.addresses.pages)), timeout=5) as peer:
        peer.sendall(b"POST /x/login HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
        assert status in peer.makefile("rb").readline()


def test_a_wrong_method_is_named(entra: Entra) -> None:
    response = entra.get(entra.addresses.token)

    assert response.status_code == 405
    assert "expected POST" in response.json()["error"]


def test_a_second_start_keeps_authority_and_keys(
    entra: Entra, new_entra: Callable[[Options], Entra], copied_state: Path
) -> None:
    kids = [key["kid"] for key in entra.get(entra.addresses.keys).json()["keys"]]

    again = new_entra(Options(state=copied_state))

    assert [key["kid"] for key in again.get(again.addresses.keys).json()["keys"]] == kids
    assert Path(again.ca).read_bytes() == Path(entra.ca).read_bytes()
    assert again.control.token == entra.control.token


@pytest.mark.parametrize(
    "name",
    [
        "ca.pem",
        "ca-key.pem",
        "server.pem",
        "signing-keys.json",
        "cluster-keys.json",
        "control-token",
        "application-certificate.pem",
    ],
)
def test_a_damaged_file_is_named(copied_state: Path, name: str) -> None:
    (copied_state / name).write_text("damaged")

    with pytest.raises(DamagedState, match=f"{name}.*Delete the folder"):
        EntraServer(Options(state=copied_state))


def test_a_missing_authority_gets_a_new_server_certificate(
    new_entra: Callable[[Options], Entra], copied_state: Path
) -> None:
    (copied_state / "ca.pem").unlink()

    entra = new_entra(Options(state=copied_state))

    assert entra.get(entra.addresses.discovery).status_code == 200


def test_closing_does_not_wait_for_slow_answers_or_open_connections(copied_state: Path) -> None:
    server = EntraServer(Options(state=copied_state))
    with ExitStack() as stack:
        with server:
            entra = Entra(server)
            entra.control.fail(Endpoints.KEYS, FaultKind.SLOW, seconds=100)
            session = stack.enter_context(requests.Session())
            session.get(entra.addresses.discovery, verify=entra.ca, timeout=5)
            address = ("127.0.0.1", port_of(entra.addresses.tls))
            stack.enter_context(socket.create_connection(address))
            began = datetime.now(UTC)

        assert (datetime.now(UTC) - began).total_seconds() < 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_serves_and_ends_on_a_signal(
    copied_state: Path, number: signal.Signals
) -> None:
    arguments = ("--state", str(copied_state), "--port", "0", "--http-port", "0")
    with process(*arguments, "--token-lifetime", "2.5") as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        origin = line.split()[2]
        control = EntraControl.of_state(origin, copied_state)
        assert control.hits() == {"control": 1}

        running.send_signal(number)
        output, errors = running.communicate(timeout=5)

    assert (running.returncode, output, errors) == (0, "", "")


@pytest.mark.parametrize("option", ["--port", "--http-port"])
def test_a_busy_port_is_one_clear_line(copied_state: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = str(taken.getsockname()[1])
        ports = {"--port": "0", "--http-port": "0", option: busy}
        flat = [word for pair in ports.items() for word in pair]
        with process("--state", str(copied_state), *flat) as running:
            _, errors = running.communicate(timeout=10)

    assert running.returncode == 2
    assert len(errors.splitlines()) == 1
    assert f"port {busy}" in errors
    assert f"with {option}," in errors


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--token-lifetime", "0"], "more than 0 seconds"),
        (["--token-lifetime", "soon"], "--token-lifetime"),
        (["--port", "70000"], "expected 0 to 65535"),
        (["--http-port", "x"], "expected 0 to 65535"),
    ],
)
def test_a_wrong_option_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--state", str(tmp_path), "--port", "0", "--http-port", "0", *arguments])

    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "environment", "says"),
    [
        ("state", {"FINOPS_ENV": "production"}, "does not run in production"),
        ("/dev/null/x", {}, "/dev/null/x"),
    ],
)
def test_a_start_that_cannot_be_says_why(
    tmp_path: Path, state: str, environment: dict[str, str], says: str
) -> None:
    arguments = ("--state", str(tmp_path / state), "--port", "0", "--http-port", "0")
    with process(*arguments, **environment) as running:
        _, errors = running.communicate(timeout=10)

    assert running.returncode == 2
    assert says in errors
    assert len(errors.splitlines()) == 1
