"""``python -m sandbox.gate`` as a process: its line, its counters, its errors and its end."""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.uri_parser import parse_uri

from sandbox.entra.tls import ensure_certificates
from sandbox.gate.__main__ import main
from tests.conftest import free_port
from tests.sandbox.gate_running import (
    AUDIENCE,
    ISSUER,
    PRINCIPAL,
    MintingCallback,
    RawClient,
    TokenIssuer,
)
from tests.waiting import wait_until


def arguments(**changes: str) -> list[str]:
    options = {
        "listen": "127.0.0.1:0",
        "upstream": "127.0.0.1:1",
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "jwks_url": "http://127.0.0.1:1/keys",
        "principal": PRINCIPAL,
        "control_port": "0",
        **changes,
    }
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "sandbox.gate", *flags]


class Process:
    """A gate's process: the ports that it printed, and its log."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log
        with log.open("wb") as errors:
            self.running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        assert self.running.stdout is not None
        ports = json.loads(self.running.stdout.readline())
        self.port, self.control_port = ports["port"], ports["control_port"]

    def log(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def get(self, path: str, method: str = "GET") -> tuple[int, dict[str, int]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.running.send_signal(number)
        code = self.running.wait(timeout=10)
        assert self.running.stdout is not None
        self.running.stdout.close()
        return code


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def test_a_driver_signs_in_and_the_counters_tell(
    token_issuer: TokenIssuer, mongo_server: str, log: Path
) -> None:
    port = parse_uri(mongo_server)["nodelist"][0][1]
    gate = Process(arguments(upstream=f"127.0.0.1:{port}", jwks_url=token_issuer.keys_url), log)
    minted = token_issuer.mint()
    with MongoClient[dict[str, object]](
        f"mongodb://localhost:{gate.port}/?directConnection=false&tls=false",
        authMechanism="MONGODB-OIDC",
        authMechanismProperties={"OIDC_CALLBACK": MintingCallback(lambda: minted)},
    ) as client:
        assert client["gate_command"]["a"].count_documents({}) == 0
        with RawClient(gate.port) as raw:
            assert raw.sign_in(token_issuer.mint(-1))["code"] == 18
            # Still open, so it can be told apart from the driver's.
            status, counters = gate.get("/stats")
    assert status == 200
    assert (counters["sasl_ok"], counters["refused_18"], counters["refused_13"]) == (1, 1, 0)
    assert counters["connections"] >= counters["open_connections"] >= 2
    assert counters["forwarded"] >= 1
    assert gate.get("/")[0] == 404
    assert gate.get("/stats", "POST")[0] == 405
    assert gate.end() == 0
    assert minted.split(".")[1] not in log.read_text()
    refused = [line for line in gate.log() if line["event"] == "sign-in refused"]
    assert [line["reason"] for line in refused] == ["The token provided is expired."]


def test_with_a_certificate_it_speaks_tls_and_nothing_else(
    token_issuer: TokenIssuer, mongo_server: str, log: Path, tmp_path: Path
) -> None:
    files = ensure_certificates(tmp_path)
    port = parse_uri(mongo_server)["nodelist"][0][1]
    gate = Process(
        arguments(
            upstream=f"127.0.0.1:{port}",
            jwks_url=token_issuer.keys_url,
            tls_cert_file=str(files.chain),
            tls_key_file=str(files.key),
        ),
        log,
    )
    with MongoClient[dict[str, object]](
        f"mongodb://localhost:{gate.port}/?directConnection=false",
        authMechanism="MONGODB-OIDC",
        authMechanismProperties={"OIDC_CALLBACK": MintingCallback(token_issuer.mint)},
        tls=True,
        tlsCAFile=str(files.ca),
    ) as client:
        assert client["gate_command"]["a"].count_documents({}) == 0
        with RawClient(gate.port) as plain:
            plain.send(b"\x10" + bytes(15))
            assert plain.receive() is None
    assert gate.get("/stats")[1]["sasl_ok"] == 1
    assert gate.end() == 0


def test_an_upstream_that_is_away_closes_clients_and_is_logged_once(
    token_issuer: TokenIssuer, log: Path, stack: contextlib.ExitStack
) -> None:
    port = free_port()
    gate = Process(arguments(upstream=f"127.0.0.1:{port}"), log)
    for _ in range(3):
        with RawClient(gate.port) as client:
            assert client.receive() is None
    (line,) = gate.log()
    assert "upstream not reached" in line["event"]
    assert line["upstream"] == f"127.0.0.1:{port}"
    assert gate.get("/stats")[1]["upstream_failures"] == 3
    listener = stack.enter_context(socket.create_server(("127.0.0.1", port)))
    with RawClient(gate.port) as client:
        server_side, _ = listener.accept()
        server_side.close()
        assert client.receive() is None, "a server that closes closes the client"
    assert gate.log()[1]["event"] == "upstream reached again"
    assert gate.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_whoever_is_connected(
    number: signal.Signals, log: Path, stack: contextlib.ExitStack
) -> None:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    gate = Process(arguments(upstream=f"127.0.0.1:{listener.getsockname()[1]}"), log)
    client = stack.enter_context(RawClient(gate.port))
    stack.enter_context(listener.accept()[0])
    # Half a request to the control port must not hold it up either.
    stack.enter_context(socket.create_connection(("127.0.0.1", gate.control_port)))
    wait_until(lambda: gate.get("/stats")[1]["open_connections"] == 1, what="the client is seen")
    began = time.monotonic()
    assert gate.end(number) == 0
    assert time.monotonic() - began < 3
    assert client.receive() is None
    assert gate.log() == []


def failure(command: list[str]) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"listen": "27017"}, "is not HOST:PORT"),
        ({"listen": "127.0.0.1:port"}, "not a port"),
        ({"listen": "127.0.0.1:-1"}, "not a port"),
        ({"listen": "127.0.0.1:65536"}, "not a port"),
        ({"listen": "0.0.0.0:27017"}, "not a loopback address"),
        ({"listen": "example.com:27017"}, "not a loopback address"),
        ({"upstream": ":27017"}, "is not HOST:PORT"),
        ({"control_port": "x"}, "not a port"),
        ({"jwks_url": "http://example.com/keys"}, "in clear"),
        ({"ca_file": "/nonexistent/ca.pem"}, "No such file"),
        ({"ca_file": "pyproject.toml"}, "not a PEM certificate"),
        ({"tls_cert_file": "a.pem"}, "belong together"),
        ({"tls_cert_file": "a.pem", "tls_key_file": "b.pem"}, "No such file"),
        ({"tls_cert_file": "pyproject.toml", "tls_key_file": "pyproject.toml"}, "not a PEM cert"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named(
    changes: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(arguments(**changes)[3:])
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 2
    assert said in capsys.readouterr().err


def test_a_busy_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        assert f"cannot listen on {address}" in failure(arguments(listen=address))
        port = address.rpartition(":")[2]
        assert f"cannot listen on {address}" in failure(arguments(control_port=port))


def test_missing_options_are_named() -> None:
    assert "--principal" in failure([sys.executable, "-m", "sandbox.gate", "--issuer", ISSUER])
