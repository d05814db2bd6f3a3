"""A change stream's answers are cut into the very bytes that the driver would have decoded."""

from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Any

import bson
import pytest
from bson import Int64, Timestamp
from bson.errors import InvalidBSON
from hypothesis import given
from hypothesis import strategies as st

from replication.keys import key_document
from replication.wire import Event, fields, read_reply
from tests.replication.test_rules import EVERY_TYPE

_LEAVES = st.sampled_from(list(EVERY_TYPE.values())) | st.text(max_size=3) | st.binary(max_size=3)
_NAMES = st.text("aé$.", min_size=1, max_size=2)
_VALUES = _LEAVES | st.lists(_LEAVES, max_size=2) | st.dictionaries(_NAMES, _LEAVES, max_size=2)
_DOCUMENTS = st.dictionaries(_NAMES, _VALUES, max_size=3)
TOKEN = {"_data": "8265"}


def reply(events: list[Mapping[str, Any]], **cursor: Any) -> bytes:
    return bson.encode({"nextBatch": events, "id": Int64(7), "ns": "a.b", **cursor})


def change(**other: Any) -> dict[str, Any]:
    document = {"_id": 1, "v": 2.5}
    return {
        "_id": TOKEN,
        "operationType": "insert",
        "clusterTime": Timestamp(3, 4),
        "fullDocument": document,
        "documentKey": {"_id": 1},
        **other,
    }


@given(_DOCUMENTS)
def test_fields_are_where_the_driver_finds_them(document: dict[str, Any]) -> None:
    data = bson.encode(document)
    found = {
        data[start + 1 : value - 1].decode(): data[start:end] for start, value, end in fields(data)
    }
    assert found == {name: bson.encode({name: value})[4:-1] for name, value in document.items()}


@given(st.lists(_DOCUMENTS, max_size=3), st.randoms(use_true_random=False))
def test_events_are_cut_whatever_else_they_hold_and_in_whatever_order(
    documents: list[dict[str, Any]], chance: Random
) -> None:
    def shuffled(document: dict[str, Any]) -> dict[str, Any]:
        event = change(fullDocument=document, **EVERY_TYPE | {"_id": TOKEN})
        return {name: event[name] for name in chance.sample(sorted(event), len(event))}

    read = read_reply(reply([shuffled(document) for document in documents]))
    assert read.empty == (not documents)
    assert list(read.events) == [
        Event(
            b"insert",
            bson.encode({"_id": 1}),
            bson.encode(document),
            3 << 32 | 4,
            bson.encode(TOKEN),
        )
        for document in documents
    ]


def test_a_cursor_is_read_whatever_kind_of_number_its_id_is() -> None:
    for number in (Int64(2**40), 5, 5.0, Int64(0)):
        read = read_reply(bson.encode({"firstBatch": [], "id": number}))
        assert (read.cursor, read.empty, read.token) == (int(number), True, None)
    assert read_reply(reply([], postBatchResumeToken=TOKEN)).token == bson.encode(TOKEN)


def test_an_event_may_lack_its_document_and_have_neighbours() -> None:
    deleted = change(operationType="delete")
    del deleted["fullDocument"]
    gone = change(operationType="update", fullDocument=None)
    part = change(splitEvent={"fragment": 2, "of": 3})
    found = [
        (event.operation, event.document, event[-2:])
        for event in read_reply(reply([deleted, gone, part])).events
    ]
    document = bson.encode(part["fullDocument"])
    assert found == [
        (b"delete", None, (1, 1)),
        (b"update", None, (1, 1)),
        (b"insert", document, (2, 3)),
    ]


def test_a_key_is_the_very_field_of_the_document() -> None:
    for value in EVERY_TYPE.values():
        document = bson.encode({"a": 1, "_id": value, "z": {"_id": 0}})
        assert key_document(document) == bson.encode({"_id": value})
    with pytest.raises(KeyError):
        key_document(bson.encode({"a": {"_id": 1}}))


@given(st.integers(0, 400), st.integers(0, 255))
def test_bytes_that_are_spoilt_raise_no_other_error(place: int, value: int) -> None:
    data = bytearray(reply([change(), change(splitEvent={"fragment": 1, "of": 1})]))
    data[place % len(data)] = value
    with suppress(InvalidBSON):
        list(read_reply(bytes(data)).events)


@pytest.mark.parametrize(
    "document", [b"", b"\x05\0\0\0", b"\x07\0\0\0\x01a\0", b"\x08\0\0\0\x20a\0\0"]
)
def test_what_is_no_document_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidBSON):
        list(fields(document))


@pytest.mark.parametrize("cursor", [{"id": 1}, {"nextBatch": []}, {"id": "x", "nextBatch": []}])
def test_what_is_no_cursor_is_refused(cursor: dict[str, Any]) -> None:
    with pytest.raises(InvalidBSON):
        read_reply(bson.encode(cursor))
