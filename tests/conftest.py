"""Fixtures that more than one folder of tests uses."""

import importlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper
from pymongo.uri_parser import parse_uri

from sandbox.mongod import answers_ping, secantusd_command
from tests.sandbox.gate_running import RunningGate, TokenIssuer
from tests.waiting import wait_until

GateFactory = Callable[..., RunningGate]


@pytest.fixture(autouse=True, scope="session")
def _sessions_follow_a_token() -> None:
    importlib.import_module("tests.signed_in")  # only now: it needs Django to be set up


def free_port() -> int:
    """A port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session", autouse=True)
def _threads_close_their_connections() -> Iterator[None]:
    """Let ``connections.close_all()`` do in a thread what it does everywhere but in tests.

    Django leaves connections to a database in memory open: with the last one it would be gone.
    The main thread's stays, so the others can go; Python 3.13 warns of each that does not.
    """
    kept = DatabaseWrapper.close

    def close(self: DatabaseWrapper) -> None:
        if threading.current_thread() is threading.main_thread() or self.allow_thread_sharing:
            kept(self)
        else:
            BaseDatabaseWrapper.close(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseWrapper, "close", close)
        yield


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a real embedded MongoDB without authentication, failpoints enabled.

    One process for the whole session: use a database of your own name in every test, and turn off
    the failpoints that you set.
    """
    folder = tmp_path_factory.mktemp("mongo")
    port = free_port()
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            secantusd_command(port=port, storage=folder / "data", failpoints=True),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:

        def ready() -> bool:
            assert process.poll() is None, f"the server ended: {log.read_text()[-2000:]}"
            return answers_ping(port)

        wait_until(ready, timeout=30, what="the embedded MongoDB answers")
        yield f"mongodb://127.0.0.1:{port}/?directConnection=true"
    finally:
        process.kill()  # nobody reads its data again, and a clean stop takes seconds
        process.wait(timeout=10)


@pytest.fixture
def token_issuer() -> Iterator[TokenIssuer]:
    """Mints Entra-shaped tokens and publishes its keys on loopback; no fake Entra is needed."""
    issuer = TokenIssuer()
    yield issuer
    issuer.stop()


@pytest.fixture
def gate_factory(
    request: pytest.FixtureRequest, token_issuer: TokenIssuer
) -> Iterator[GateFactory]:
    """Start OIDC gates: ``gate_factory(port=None, unrestricted=False, tls=None) -> RunningGate``.

    Without a port the gate stands in front of ``mongo_server``; ``tls`` is a server's context. A
    gate's ``uri`` is for clients of your own making; ``gate.callback(lifetime=1.0)`` is an OIDC
    callback whose tokens it accepts, ``gate.client(callback)`` a ready client (close it),
    ``gate.statistics()`` its counters, e.g. ``refused_391``, ``gate.issuer.rotate()`` changes the
    signing key, and ``gate.issuer.advance(3600)`` lets every token expire at once. Gates stop with
    the test: close your clients before.
    """
    gates: list[RunningGate] = []

    def start(
        upstream_port: int | None = None,
        *,
        unrestricted: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> RunningGate:
        if upstream_port is None:
            uri = request.getfixturevalue("mongo_server")
            upstream_port = parse_uri(uri)["nodelist"][0][1]
        gate = RunningGate(upstream_port, token_issuer, unrestricted=unrestricted, tls=tls)
        gates.append(gate)
        return gate

    yield start
    for gate in gates:
        gate.stop()
