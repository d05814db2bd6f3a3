"""A collection's changes arrive whole and once, whatever becomes of cursors and large events."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from replication.change_cursor import StartPoint, Wanted
from replication.change_source import ChangeSource
from replication.changes import UnknownEvent
from replication.errors import FailureKind, HistoryLost, sort_failure
from replication.spec import Namespace
from replication.streams import MongoDBStream, current_point, raw_collection
from replication.wire import Event
from tests.conftest import GateFactory
from tests.replication.running import Document
from tests.replication.test_rules import EVERY_TYPE
from tests.waiting import wait_until

Rows = Collection[Document]


@pytest.fixture
def rows(mongo: MongoClient[Document]) -> Rows:
    database = mongo[f"streams-{uuid4().hex[:12]}"]
    return database.create_collection("rows")


@pytest.fixture
def new_stream(rows: Rows) -> Iterator[Callable[..., MongoDBStream]]:
    """Start streams from now on, over the client of ``rows`` or another one."""
    with ExitStack() as stack:

        def start(client: MongoClient[Document] | None = None, **options: Any) -> MongoDBStream:
            own = raw_collection(rows.database.client, Namespace("", rows.database.name, "rows"))
            other = client or rows.database.client
            collection = raw_collection(other, Namespace("", rows.database.name, "rows"))
            stream = MongoDBStream(collection, current_point(own), **options)
            stack.callback(stream.close)
            return stream

        yield start


@contextmanager
def failing(
    client: MongoClient[Document], *commands: str, times: int = 1, **how: Any
) -> Iterator[None]:
    data = {"failCommands": list(commands), **how}
    client.admin.command(
        {"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data}
    )
    try:
        yield
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


def read(stream: MongoDBStream, events: int) -> dict[Any, Any]:
    """Read until so many events have come; the last state of each document by its ``_id``."""
    found: dict[Any, Any] = {}
    count = 0

    def enough() -> bool:
        nonlocal count
        batch = stream.read()
        count += batch.events
        for key, document in batch.writes.items():
            found[bson.decode(key)["_id"]] = document and bson.decode(document)
        return count >= events

    wait_until(enough, what=f"{events} events")
    assert count == events
    return found


def test_documents_of_every_type_arrive_as_the_bytes_that_they_are(
    rows: Rows, new_stream: Callable[..., MongoDBStream]
) -> None:
    stream = new_stream()
    documents = [bson.encode({**EVERY_TYPE, "_id": number}) for number in range(3)]
    rows.insert_many([RawBSONDocument(document) for document in documents])
    writes: dict[bytes, bytes | None] = {}
    wait_until(lambda: writes.update(stream.read().writes) or len(writes) == 3)
    stored = raw_collection(rows.database.client, Namespace("", rows.database.name, "rows")).find()
    assert list(writes.values()) == [bytes(each.raw) for each in stored]


@pytest.mark.parametrize(
    "how",
    [{"closeConnection": True}, {"errorCode": 43}, {"errorCode": 91}, {"errorCode": 11600}],
    ids=["cut", "CursorNotFound", "ShutdownInProgress", "InterruptedAtShutdown"],
)
def test_a_cursor_that_is_lost_is_replaced_at_the_same_place(
    rows: Rows, new_stream: Callable[..., MongoDBStream], how: dict[str, Any]
) -> None:
    stream = new_stream()
    rows.insert_many([{"_id": number} for number in range(3)])
    read(stream, 3)
    with failing(rows.database.client, "getMore", **how):
        rows.insert_many([{"_id": number} for number in range(3, 6)])
        with pytest.raises((AutoReconnect, OperationFailure)) as failure:
            stream.read()
        assert sort_failure(failure.value) is FailureKind.TRANSIENT
        assert list(read(stream, 3)) == [3, 4, 5]


def test_a_new_stream_goes_on_behind_the_token_of_a_batch(
    rows: Rows, new_stream: Callable[..., MongoDBStream]
) -> None:
    first = new_stream()
    rows.insert_many([{"_id": number} for number in range(5)])
    batch = first.read()
    while not batch.events:
        batch = first.read()
    rows.delete_one({"_id": 2})
    collection = raw_collection(rows.database.client, Namespace("", rows.database.name, "rows"))
    second = MongoDBStream(collection, StartPoint(batch.token))
    assert read(second, 6 - batch.events)[2] is None
    second.close()


def test_a_quiet_collections_token_moves(
    rows: Rows, new_stream: Callable[..., MongoDBStream]
) -> None:
    stream = new_stream()
    before = stream.read()
    assert before.token
    rows.database["other"].insert_one({})
    wait_until(lambda: stream.read().token != before.token, what="the token moves")


@pytest.mark.parametrize("kind", ["drop", "rename"])
def test_a_collection_that_ends_is_lost_history_and_stays_it(
    rows: Rows, new_stream: Callable[..., MongoDBStream], kind: str
) -> None:
    stream = new_stream()
    rows.insert_one({"_id": 1})
    read(stream, 1)
    if kind == "drop":
        rows.drop()
    else:
        rows.rename("elsewhere")
    with pytest.raises(HistoryLost, match=kind):
        wait_until(lambda: stream.read().events)
    with pytest.raises(HistoryLost, match=kind):
        stream.read()


def test_an_event_of_more_than_a_document_may_have_arrives(
    rows: Rows, new_stream: Callable[..., MongoDBStream]
) -> None:
    stream = new_stream()
    rows.insert_one({"_id": 1, "pad": "x" * (16 * 1024 * 1024 - 100)})
    rows.update_one({"_id": 1}, {"$set": {"v": 1}})
    assert read(stream, 2)[1]["v"] == 1


@pytest.mark.parametrize("command", ["getMore", "aggregate"])
def test_what_is_too_large_to_be_sent_is_looked_up(
    rows: Rows, new_stream: Callable[..., MongoDBStream], command: str
) -> None:
    stream = new_stream()
    rows.insert_many([{"_id": number, "v": 1} for number in range(3)])
    rows.update_one({"_id": 1}, {"$set": {"v": 2}})
    rows.delete_one({"_id": 2})
    with failing(rows.database.client, command, errorCode=10334):
        found = read(stream, 5)
    assert found == {0: {"_id": 0, "v": 1}, 1: {"_id": 1, "v": 2}, 2: None}


def test_a_failed_look_up_is_tried_again(
    rows: Rows, new_stream: Callable[..., MongoDBStream]
) -> None:
    stream = new_stream(query={"v": {"$gte": 2}})
    rows.insert_one({"_id": 1, "v": 2})
    rows.update_one({"_id": 1}, {"$set": {"v": 3}})
    with failing(rows.database.client, "find", times=2, errorCode=11600):  # the driver tries twice
        with pytest.raises(PyMongoError):
            wait_until(lambda: stream.read().events)
        assert read(stream, 2) == {1: {"_id": 1, "v": 3}}


def test_equal_numbers_of_two_types_are_one_key_to_a_look_up(
    rows: Rows, new_stream: Callable[..., MongoDBStream]
) -> None:
    stream = new_stream(query={"v": 1})
    rows.insert_one({"_id": 1, "v": 1})
    rows.update_one({"_id": 1}, {"$set": {"x": 1}})
    rows.delete_one({"_id": 1})
    rows.insert_one({"_id": 1.0, "v": 1})
    stream.look_up([bson.encode({"_id": 1})])
    assert read(stream, 4)[1] == {"_id": 1.0, "v": 1}


def test_a_source_that_cannot_split_events_is_asked_without(
    rows: Rows, new_stream: Callable[..., MongoDBStream], gate_factory: GateFactory
) -> None:
    gate = gate_factory()
    with gate.client() as client:
        stream = new_stream(client)
        rows.insert_one({"_id": 1})
        read(stream, 1)
        stream.close()
        rows.insert_one({"_id": 2})
        read(stream, 1)
        stream.close()
        statistics = gate.statistics()
    assert (statistics["refused_other"], statistics["change_streams_opened"]) == (1, 2)


def _fragment(number: int, of: int, **fields: Any) -> Event:
    base = {"operation": b"", "key": b"", "document": None, "time": 0}
    token = bson.encode({"n": number})
    return Event(**{**base, **fields}, token=token, fragment=number, fragments=of)


class Pieces(ChangeSource):
    """A source whose answers are these events."""

    def __init__(self, events: list[Event], collection: Any) -> None:
        super().__init__(collection, StartPoint({"n": 0}))
        self.given = events

    def whole(self) -> list[Event]:
        return [each for event in self.given for each in [self._merged(event)] if each is not None]


def test_fragments_are_one_event(rows: Rows) -> None:
    key, document = bson.encode({"_id": 1}), bson.encode({"_id": 1, "v": 1})
    source = Pieces(
        [
            _fragment(1, 2, operation=b"update", key=key, time=7),
            _fragment(2, 2, document=document),
        ],
        rows,
    )
    (event,) = source.whole()
    assert event[:5] == (b"update", key, document, 7, bson.encode({"n": 2}))


@pytest.mark.parametrize("numbers", [(2,), (1, 3), (1, 1)], ids=str)
def test_fragments_that_are_not_all_there_are_refused(rows: Rows, numbers: tuple[int, ...]) -> None:
    with pytest.raises(UnknownEvent):
        Pieces([_fragment(number, 3) for number in numbers], rows).whole()


def test_a_query_is_asked_of_the_documents_in_events() -> None:
    query = {"a": 1, "$or": [{"b.c": {"$gt": 2}}, {"$nor": [{"d": None}]}]}
    match = Wanted(query=query).pipeline(StartPoint())[1]["$match"]
    assert match["$or"] == [
        {"operationType": {"$ne": "insert"}},
        {
            "fullDocument.a": 1,
            "$or": [{"fullDocument.b.c": {"$gt": 2}}, {"$nor": [{"fullDocument.d": None}]}],
        },
    ]
