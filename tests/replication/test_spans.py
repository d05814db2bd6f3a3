"""A span holds exactly the documents between its limits, whatever the types of the keys are."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime

import bson
import pytest
from bson import Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from pymongo import MongoClient
from pymongo.collection import Collection

from replication.keys import key_document
from replication.spans import Span, bracket_of
from tests.replication.running import Document

KEYS = [
    MinKey(),
    None,
    math.nan,
    -math.inf,
    -3,
    Int64(2),
    2.5,
    Decimal128("7"),
    "a",
    "b",
    {"a": 1},
    {"a": 2},
    b"bytes",
    ObjectId("65a000000000000000000000"),
    False,
    True,
    datetime(2026, 1, 1, tzinfo=UTC),
    Timestamp(1, 1),
    Code("one"),
    Code("two"),
    MaxKey(),
]
NAN = 2  # no span begins or ends there: it compares with nothing


@pytest.fixture
def rows(mongo: MongoClient[Document]) -> Collection[Document]:
    rows = mongo["spans"]["rows"]
    if not rows.estimated_document_count():
        rows.insert_many([{"_id": key} for key in KEYS])
    return rows


def keys_of(rows: Collection[Document], filters: Iterable[Document]) -> list[bytes]:
    found = [row for chosen in filters for row in rows.find(chosen).sort("_id", 1)]
    return [bson.encode({"_id": row["_id"]}) for row in found]


def in_order(rows: Collection[Document]) -> list[bytes]:
    return keys_of(rows, [{}])


@pytest.mark.parametrize("at", range(1, len(KEYS)))
def test_what_is_left_is_everything_above_the_last_key(rows: Collection[Document], at: int) -> None:
    keys = in_order(rows)
    assert keys_of(rows, Span().filters(keys[at - 1])) == keys[at:]


@pytest.mark.parametrize("at", [at for at in range(len(KEYS)) if at != NAN])
def test_two_spans_that_meet_hold_everything_once(rows: Collection[Document], at: int) -> None:
    keys = in_order(rows)
    left, right = Span(upper=keys[at]), Span(lower=keys[at])
    assert keys_of(rows, left.filters()) == keys[: at + 1]
    assert keys_of(rows, right.filters()) == keys[at + 1 :]


@pytest.mark.parametrize(("lower", "upper"), [(0, 9), (3, 5), (4, 13), (9, 16), (12, 18)])
def test_a_span_goes_on_behind_any_of_its_keys(
    rows: Collection[Document], lower: int, upper: int
) -> None:
    keys = in_order(rows)
    span = Span(keys[lower], keys[upper])
    for at in range(lower, upper + 1):
        assert keys_of(rows, span.filters(keys[at])) == keys[at + 1 : upper + 1]


def test_brackets_that_a_collection_lacks_are_not_asked_for() -> None:
    key, other = (key_document(bson.encode({"_id": text})) for text in ("k", "z"))
    text = (bracket_of(key),)
    assert list(Span(None, key, text).filters()) == [{"_id": {"$lte": "k"}}]
    assert list(Span(None, other, text).filters(key)) == [{"_id": {"$gt": "k", "$lte": "z"}}]
    assert list(Span(key, None, text).filters()) == [{"_id": {"$gt": "k"}}]
    assert list(Span(brackets=text).filters()) == [{}]
