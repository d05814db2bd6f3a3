"""Raw write statements say what the driver's own would, and tell what a server refuses."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from replication.errors import WritesRefused, sort_failure, wanted_pause
from replication.refusals import refusal_of
from replication.spec import Namespace
from replication.statements import (
    PlainWriter,
    WriteError,
    deletion,
    raise_if_refused,
    upsert,
)
from replication.streams import raw_collection
from tests.replication.running import Document

Send = Callable[[dict[bytes, bytes | None]], None]


@pytest.fixture
def rows(mongo: MongoClient[Document]) -> Iterator[Collection[RawBSONDocument]]:
    collection = raw_collection(mongo, Namespace("", "statements", uuid4().hex))
    yield collection
    collection.drop()


def key(value: object) -> bytes:
    return bson.encode({"_id": value})


def document(value: object, **fields: object) -> bytes:
    return bson.encode({"_id": value, **fields})


def stored(rows: Collection[RawBSONDocument]) -> list[bytes]:
    return [bytes(found.raw) for found in rows.find().sort("_id", 1)]


def test_statements_are_what_the_driver_would_send() -> None:
    assert bson.decode(upsert(key(1), document(1, a="x"))) == {
        "q": {"_id": 1},
        "u": {"_id": 1, "a": "x"},
        "upsert": True,
    }
    assert bson.decode(deletion(key("é"))) == {"q": {"_id": "é"}, "limit": 1}


def test_writes_replace_insert_and_delete(rows: Collection[RawBSONDocument]) -> None:
    writer = PlainWriter(rows, ordered=False)
    writer.insert([(key(n), document(n, v=1)) for n in range(3)], None)
    writer.write({key(0): document(0, b=2, a=1), key(1): None, key(7): document(7)}, None)
    assert stored(rows) == [document(0, b=2, a=1), document(2, v=1), document(7)]


def test_the_driver_sends_many_documents_in_the_place_of_one(
    mongo_server: str, rows: Collection[RawBSONDocument]
) -> None:
    """Compressed, too: another piece of the driver puts the message together then."""
    documents = {key(n): document(n, v=[n, {"a": n}]) for n in range(300)}
    with MongoClient[Document](mongo_server, compressors="zlib") as client:
        copy = raw_collection(client, Namespace("", "statements", rows.name))
        PlainWriter(copy, ordered=False).insert(documents.items(), None)
        PlainWriter(copy, ordered=False).write(documents, None)
    assert stored(rows) == list(documents.values())


def test_a_document_of_nearly_16_megabytes_passes(rows: Collection[RawBSONDocument]) -> None:
    large = document(1, pad="x" * (16 * 1024 * 1024 - 100))
    PlainWriter(rows, ordered=False).write({key(0): document(0), key(1): large}, None)
    assert stored(rows) == [document(0), large]


def test_refused_documents_are_named_by_key_and_without_their_values(
    rows: Collection[RawBSONDocument],
) -> None:
    rows.create_index("Name", unique=True)
    writer = PlainWriter(rows, ordered=False)
    with pytest.raises(WritesRefused) as error:
        writer.write({key(n): document(n, Name="secret") for n in range(2)}, None)
    (refused,) = error.value.refused.items()
    assert refused == (key(1), refusal_of(11000, {"keyPattern": {"Name": 1}}))
    assert refused[1].reason == "Another document of the copy has the same Name."
    assert "secret" not in repr((error.value, error.value.details))


def test_fresh_documents_are_not_in_each_others_way(rows: Collection[RawBSONDocument]) -> None:
    rows.create_index("n", unique=True)
    writer = PlainWriter(rows, ordered=True)
    writer.insert([(key(n), document(n, n=n)) for n in range(2)], None)
    swapped: dict[bytes, bytes | None] = {key(0): document(0, n=1), key(1): document(1, n=0)}
    with pytest.raises(WritesRefused):
        writer.write(swapped, None)
    writer.write(swapped, None, fresh=True)
    assert stored(rows) == list(swapped.values())


def test_what_will_pass_comes_before_what_is_refused_for_good() -> None:
    errors = [
        WriteError(key(1), {"code": 11000, "errmsg": "secret"}, ()),
        WriteError(key(2), {"code": 16500, "errmsg": "Error=16500, RetryAfterMs=34, X"}, ()),
    ]
    with pytest.raises(WritesRefused) as error:
        raise_if_refused(errors)
    assert error.value.code == 16500
    assert not error.value.refused
    assert wanted_pause(error.value) == 0.034
    assert sort_failure(error.value).value == "transient"


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (OperationFailure("Request rate is large. RetryAfterMs=1500", 16500), 1.5),
        (OperationFailure("x", 16500, {"retryAfterMs": 20}), 0.02),
        (OperationFailure("x", 16500), 0.0),
        (KeyError("RetryAfterMs=1500"), 0.0),
    ],
    ids=["text", "field", "none", "another error"],
)
def test_the_pause_that_a_server_asks_for_is_read(error: Exception, pause: float) -> None:
    assert wanted_pause(error) == pause
