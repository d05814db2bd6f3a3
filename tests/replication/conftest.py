"""Clients of the session's MongoDB, and flows between databases in it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from sandbox.entra.server import EntraServer, Options
from tests.conftest import free_port
from tests.replication.running import Document, Flow
from tests.replication.servers import Server
from tests.replication.signed_in import Gate, control_of


@pytest.fixture
def mongo(mongo_server: str) -> Iterator[MongoClient[Document]]:
    # As the product's own clients do: a streaming monitor is slow to trust a server again.
    options: dict[str, Any] = {"serverSelectionTimeoutMS": 3000, "serverMonitoringMode": "poll"}
    with MongoClient[Document](mongo_server, **options) as client:
        yield client


@pytest.fixture
def flow(mongo: MongoClient[Document]) -> Flow:
    """A flow whose two sides are databases of one server."""
    return Flow(mongo, mongo)


@pytest.fixture
def new_flow(mongo: MongoClient[Document]) -> Callable[..., Flow]:
    def build(**options: Any) -> Flow:
        return Flow(mongo, mongo, **options)

    return build


@pytest.fixture(scope="module")
def forgetful_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that keeps the last 50 or so events only."""
    server = Server(tmp_path_factory.mktemp("forgetful"), free_port(), oplog_entries=50)
    yield server
    server.kill()


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """Start servers that the test may kill and start again."""
    servers: list[Server] = []

    def start() -> Server:
        folder = tmp_path / f"server-{len(servers)}"
        folder.mkdir()
        servers.append(Server(folder, free_port()))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def _one_entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EntraServer]:
    with EntraServer(Options(state=tmp_path_factory.mktemp("entra"))) as server:
        yield server


@pytest.fixture
def entra(_one_entra: EntraServer) -> Iterator[EntraServer]:
    """The fake Entra as it is at its start."""
    yield _one_entra
    control_of(_one_entra).reset()


@pytest.fixture
def new_gate(entra: EntraServer, mongo_server: str) -> Iterator[Callable[[], Gate]]:
    """Start gates in front of the session's MongoDB, for tokens of the fake Entra."""
    gates: list[Gate] = []

    def start() -> Gate:
        gates.append(Gate(entra, mongo_server))
        return gates[-1]

    yield start
    for gate in gates:
        gate.stop()
