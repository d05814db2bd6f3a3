"""Clients of the session's MongoDB, and flows between databases in it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests.conftest import free_port
from tests.replication.running import Document, Flow
from tests.replication.servers import Server


@pytest.fixture
def mongo(mongo_server: str) -> Iterator[MongoClient[Document]]:
    with MongoClient[Document](mongo_server, serverSelectionTimeoutMS=3000) as client:
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


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers that the test may kill and start again."""
    servers: list[Server] = []

    def start(**options: Any) -> Server:
        folder = tmp_path / f"server-{len(servers)}"
        folder.mkdir()
        servers.append(Server(folder, free_port(), **options))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()
