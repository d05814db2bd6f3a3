"""The fault suite's own instruments: they see what they are meant to see."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure
from pymongo.uri_parser import parse_uri

from tests.replication.faults.proxy import Proxy, Wire
from tests.replication.faults.rules import Failure, Moment, On, Rules
from tests.replication.faults.watcher import StreamHistory
from tests.replication.running import Document


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
def client(rules: Rules, mongo_server: str) -> Iterator[MongoClient[Document]]:
    with Wire() as wire:
        proxy = Proxy(wire, "me", parse_uri(mongo_server)["nodelist"][0][1], rules)
        with MongoClient[Document](proxy.uri, serverMonitoringMode="poll") as client:
            yield client
        proxy.stop()


def test_a_failure_answers_the_command_that_it_is_meant_for(
    rules: Rules, client: MongoClient[Document]
) -> None:
    rows = client["harness"]["failing"]
    rule = rules.fail(On("insert", "failing"), Failure(16500, ("SomeLabel",)))
    client["harness"]["others"].insert_one({})
    with pytest.raises(OperationFailure) as error:
        rows.insert_one({"_id": 1})
    assert error.value.code == 16500
    assert error.value.has_error_label("SomeLabel")
    rows.insert_one({"_id": 1})
    assert rule.spent


@pytest.mark.parametrize(("moment", "there"), [(Moment.REQUEST, 0), (Moment.ANSWER, 1)])
def test_a_cut_comes_before_the_command_or_after_it(
    rules: Rules, client: MongoClient[Document], moment: Moment, there: int
) -> None:
    rows = client["harness"][f"cut-{there}"]
    rows.delete_many({})
    rules.cut(On("insert"), moment=moment, times=2)
    with pytest.raises(AutoReconnect):
        rows.insert_one({})
    assert rows.count_documents({}) == there


def test_a_commit_is_known_by_what_its_transaction_wrote(
    rules: Rules, client: MongoClient[Document]
) -> None:
    database = client["harness"]
    rule = rules.fail(On("commitTransaction", "wanted"), Failure(112))
    with client.start_session() as session:
        with session.start_transaction():
            database["other"].insert_one({}, session=session)
        session.start_transaction()
        database["wanted"].insert_one({}, session=session)
        with pytest.raises(OperationFailure):
            session.commit_transaction()
    assert rule.spent


def test_what_is_held_waits_until_it_is_released(
    rules: Rules, client: MongoClient[Document]
) -> None:
    held = rules.hold(On("insert"), moment=Moment.ANSWER)
    held.when_decided(lambda: None)
    held.release()
    client["harness"]["held"].insert_one({})  # the hold has ended, and nothing waits


def position(**fields: Any) -> dict[str, Any]:
    return {"epoch": 1, "batch": 1, "consistent_since": "now", **fields}


def write(seq: int, session: bytes = b"one") -> dict[str, Any]:
    return {
        "operationType": "replace",
        "documentKey": {"_id": 1},
        "fullDocument": {"_id": 1, "seq": seq},
        "lsid": {"id": session},
    }


@pytest.fixture
def history() -> StreamHistory:
    history = StreamHistory("rows")
    history.on_write(write(9), with_position=False)  # of the snapshot
    history.on_write(write(3), with_position=True)
    history.on_position(position())
    assert history.faults == []
    return history


@pytest.mark.parametrize(
    ("seq", "session", "fenced", "fault"),
    [
        (4, b"one", True, ""),
        (2, b"one", True, "1 went back from 3 to 2"),
        (4, b"one", False, "replace of 1 outside of a fenced transaction"),
    ],
)
def test_the_watcher_convicts_writes(
    history: StreamHistory, seq: int, session: bytes, fenced: bool, fault: str
) -> None:
    history.on_write(write(seq, session), with_position=fenced)
    assert history.faults == ([f"rows: {fault}"] if fault else [])


def test_the_watcher_convicts_a_second_owner(history: StreamHistory) -> None:
    history.on_write(write(4), with_position=True)
    history.on_position({"epoch": 2})
    history.on_write(write(5, b"two"), with_position=True)
    assert history.faults == []
    history.on_write(write(6), with_position=True)
    assert history.faults == ["rows: two owners wrote in epoch 2"]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"batch": 2, "events": 7}, ""),
        ({"batch": 3}, "batch 1 is followed by 3"),
        ({"batch": 2, "events": 4}, "events went back from 5 to 4"),
        ({"epoch": 0}, "epoch went back from 1 to 0"),
        ({"batch": 2, "cluster_time": (1, 1)}, "cluster_time went back from (2, 1) to (1, 1)"),
        ({"batch": 2, "consistent_since": None}, "the copy was consistent, and then it was not"),
        ({"batch": 2, "consistent_since": None, "generation": 2}, ""),
    ],
)
def test_the_watcher_convicts_positions(fields: dict[str, Any], fault: str) -> None:
    history = StreamHistory("rows")
    history.on_position(position(events=5, cluster_time=(2, 1), generation=1))
    history.on_position(fields)
    assert history.faults == ([f"rows: {fault}"] if fault else [])
