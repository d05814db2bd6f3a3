"""A filter is a query in extended JSON that a server can ask of documents and of changes."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from bson import Decimal128, Int64, Regex

from replication.filters import filter_problem, parse_filter
from replication.spec import Namespace, StreamSpec


def test_extended_json_becomes_a_query() -> None:
    text = """{
        "Cost": {"$gte": {"$numberDecimal": "1.5"}, "$lt": {"$numberLong": "7"}},
        "Day": {"$gte": {"$date": "2026-01-01T00:00:00Z"}},
        "$or": [{"Name": {"$regex": "^a", "$options": "i"}}, {"Tags.env": {"$in": ["x", null]}}],
        "Rows": {"$elemMatch": {"a": 1, "$or": [{"b": 2}, {"c": {"$not": {"$gt": 3}}}]}},
        "Numbers": {"$elemMatch": {"$gt": 3}}
    }"""
    query = parse_filter(text)
    assert query["Cost"] == {"$gte": Decimal128("1.5"), "$lt": Int64(7)}
    assert query["Day"] == {"$gte": datetime(2026, 1, 1, tzinfo=UTC)}
    assert query["$or"][0] == {"Name": Regex("^a", "i")}


def test_a_stream_knows_its_query() -> None:
    spec = StreamSpec(uuid4(), "costs", Namespace("a", "b", "c"), Namespace("d", "b", "c"))
    assert spec.query() == {}
    assert replace(spec, filter='{"a": 1}').query() == {"a": 1}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("text", "Expected a query"),
        ([], "Expected a query"),
        ({"a": {"$date": "yesterday"}}, "this is none"),
        ({"a": {"$oid": "x"}}, "this is none"),
        ({"a": 10**30}, "this is none"),
        ({"_id": 1}, "cannot name _id"),
        ({"$where": "1"}, "cannot use $where; it may use $all, $and"),
        ({"$expr": {"$eq": ["$a", 1]}}, "cannot use $expr"),
        ({"$text": {"$search": "x"}}, "cannot use $text"),
        ({"$and": [{"$or": [{"$where": "1"}]}]}, "cannot use $where"),
        ({"a": {"$near": [1, 2]}}, "cannot use $near"),
        ({"a": {"$elemMatch": {"$where": "1"}}}, "cannot use $where"),
        ({"$or": {"a": 1}}, "$or: expected a list"),
        ({"a": {"b": 1}}, "one by one"),
        ({"a": {"$in": [{"b": 1, "c": 2}]}}, "one by one"),
    ],
    ids=str,
)
def test_what_is_no_filter_is_refused_and_told_why(value: object, problem: str) -> None:
    assert problem in (filter_problem(value) or "")


def test_no_filter_is_a_filter() -> None:
    assert filter_problem({}) is None
