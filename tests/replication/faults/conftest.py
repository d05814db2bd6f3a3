"""Servers of a module's own, and arenas between them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.replication.faults.arena import Arena, Size
from tests.replication.faults.workers import migrated_database
from tests.replication.servers import Server

NewArena = Callable[..., Arena]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of Django's with all tables and no rows."""
    return migrated_database(tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def source_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("source"), free_port())
    yield server
    server.kill()


@pytest.fixture(scope="module")
def destination_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("destination"), free_port())
    yield server
    server.kill()


@pytest.fixture
def ports(source_server: Server, destination_server: Server) -> tuple[int, int]:
    """Where the source and the destination are."""
    return source_server.port, destination_server.port


@pytest.fixture
def new_arena(ports: tuple[int, int], empty_database: Path, tmp_path: Path) -> Iterator[NewArena]:
    """Build the arena of a test; its processes end with the test."""
    with ExitStack() as stack:

        def build(*, seed: int, size: Size | None = None, lease: float = 2.0) -> Arena:
            arena = Arena(
                tmp_path,
                empty_database,
                *ports,
                seed=seed,
                size=size or Size(),
                lease=lease,
            )
            return stack.enter_context(arena)

        yield build
