"""A real driver works through the gate, against a real server."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo import CursorType, MongoClient, WriteConcern
from pymongo.errors import OperationFailure

from tests.conftest import GateFactory
from tests.sandbox.gate_running import RunningGate
from tests.waiting import wait_until

Document = dict[str, Any]


@pytest.fixture
def gate(gate_factory: GateFactory) -> RunningGate:
    return gate_factory()


@pytest.fixture
def client(gate: RunningGate) -> Iterator[MongoClient[Document]]:
    with gate.client() as client:
        yield client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A database of the test's own."""
    return f"gate_{abs(hash(request.node.name)):x}"


def test_documents_are_written_read_changed_and_deleted(
    gate: RunningGate, client: MongoClient[Document], name: str
) -> None:
    collection = client[name]["things"]
    collection.insert_many({"_id": n, "text": "x" * 100} for n in range(3000))
    assert len(list(collection.find(batch_size=500))) == 3000
    assert collection.update_many({"_id": {"$lt": 10}}, {"$set": {"n": 1}}).modified_count == 10
    assert collection.delete_one({"_id": 1}).deleted_count == 1
    assert collection.count_documents({}) == 2999
    assert gate.statistics()["refused_13"] == 0


def test_a_transaction_commits_and_another_is_rolled_back(
    client: MongoClient[Document], name: str
) -> None:
    collection = client[name]["things"]
    collection.insert_one({"_id": 0})
    with client.start_session() as session:
        with session.start_transaction():
            collection.insert_one({"_id": 1}, session=session)
        with session.start_transaction():
            collection.insert_one({"_id": 2}, session=session)
            session.abort_transaction()
    assert [found["_id"] for found in collection.find()] == [0, 1]


def test_documents_of_many_megabytes_pass_byte_for_byte(
    client: MongoClient[Document], mongo_server: str, name: str
) -> None:
    client[name]["large"].insert_many({"_id": n, "text": chr(97 + n) * 3_000_000} for n in range(6))
    with MongoClient[Document](mongo_server) as direct:
        through, past = (
            list(reader[name]["large"].find_raw_batches()) for reader in (client, direct)
        )
    assert sum(map(len, through)) > 18_000_000
    assert through == past


def test_streamed_replies_pass(client: MongoClient[Document], name: str) -> None:
    client[name]["things"].insert_many({"_id": n} for n in range(1000))
    streamed = client[name]["things"].find(cursor_type=CursorType.EXHAUST, batch_size=50)
    assert [found["_id"] for found in streamed] == list(range(1000))
    assert client.admin.command("ping")["ok"] == 1


def test_a_reader_that_pauses_gets_everything(client: MongoClient[Document], name: str) -> None:
    client[name]["things"].insert_many({"_id": n, "text": "x" * 100_000} for n in range(300))
    first, second = (client[name]["things"].find(batch_size=100) for _ in range(2))
    assert sum(1 for _ in zip(first, second, strict=True)) == 300


def test_work_and_one_change_stream_carry_on_over_expiries(gate: RunningGate, name: str) -> None:
    callback = gate.callback(lifetime=1.0)
    written = 0
    with gate.client(callback) as client:
        collection = client[name]["things"]
        collection.insert_one({"_id": -1})
        with collection.watch(max_await_time_ms=100) as stream:
            seen: list[int] = []
            deadline = time.monotonic() + 3.5
            while time.monotonic() < deadline:
                collection.insert_one({"_id": written})
                written += 1
                event = stream.try_next()
                if event is not None:
                    seen.append(event["documentKey"]["_id"])

            def caught_up() -> bool:
                event = stream.try_next()
                if event is not None:
                    seen.append(event["documentKey"]["_id"])
                return len(seen) == written

            wait_until(caught_up, what="every insert is seen")
        statistics = gate.statistics()
    assert seen == list(range(written))
    assert statistics["change_streams_opened"] == 1
    assert statistics["refused_391"] >= 3
    assert statistics["refused_13"] == statistics["refused_18"] == 0
    assert callback.calls >= 3


def test_many_threads_carry_on_over_expiries(gate: RunningGate, name: str) -> None:
    callback = gate.callback()
    with gate.client(callback) as client, ThreadPoolExecutor(6) as pool:
        for _ in range(4):
            list(pool.map(client[name]["things"].find_one, range(60)))
            gate.issuer.advance(3600)
    statistics = gate.statistics()
    assert statistics["refused_391"] >= 3
    assert statistics["refused_18"] == statistics["refused_13"] == 0
    assert callback.calls <= 5, "one token for all threads at each expiry, and one at the close"


def test_a_rotated_key_is_picked_up(gate: RunningGate, name: str) -> None:
    with gate.client(maxPoolSize=1) as client:
        client[name]["things"].find_one()
        gate.issuer.rotate()
        gate.issuer.advance(3600)
        # The keys may be read once in 50 ms here.
        wait_until(lambda: reads(client, name), what="a sign-in with the new key")
    assert gate.issuer.keys_reads == 2


def reads(client: MongoClient[Document], name: str) -> bool:
    try:
        client[name]["things"].find_one()
    except OperationFailure as error:
        if error.code != 18:
            raise
        return False
    return True


def test_a_pooled_connection_recovers_once_good_tokens_come_back(
    gate: RunningGate, name: str
) -> None:
    callback = gate.callback()
    with gate.client(callback, maxPoolSize=1) as client:
        assert reads(client, name)
        gate.issuer.advance(3600)
        good, callback.mint = callback.mint, lambda: "not.a.token"
        assert not reads(client, name)
        assert not reads(client, name)
        callback.mint = good
        # With 13 instead of 391 the connection would stay useless for ever.
        assert reads(client, name)
    assert gate.statistics()["refused_13"] == 0


def test_unacknowledged_writes_after_expiry_are_lost_without_a_word(
    gate: RunningGate, mongo_server: str, name: str
) -> None:
    callback = gate.callback()
    with (
        gate.client(callback, maxPoolSize=1) as client,
        MongoClient[Document](mongo_server) as direct,
    ):
        client[name]["things"].insert_one({"_id": 0})
        gate.issuer.advance(3600)
        unacknowledged = client[name].get_collection("things", write_concern=WriteConcern(w=0))
        for number in range(1, 4):
            unacknowledged.insert_one({"_id": number})
        wait_until(lambda: gate.statistics()["refused_391"] == 3, what="three refusals")
        assert callback.calls == 1
        # The connection is still in step: the next answer is the next command's.
        assert client[name]["things"].count_documents({}) == 1
        assert direct[name]["things"].count_documents({}) == 1
