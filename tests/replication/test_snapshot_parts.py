"""A copy goes on behind any last key, whatever the types of the keys are."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from pymongo import MongoClient

from replication.parts import Part
from tests.replication.running import Document, Flow, raw, running

KEYS = [
    MinKey(),
    None,
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
    MaxKey(),
]


@pytest.mark.parametrize("at", range(1, len(KEYS)))
def test_what_is_left_is_everything_above_the_last_key(
    mongo: MongoClient[Document], at: int
) -> None:
    rows = mongo["parts"]["rows"]
    if not rows.estimated_document_count():
        rows.insert_many([{"_id": key} for key in KEYS])
    in_order = [row["_id"] for row in rows.find().sort("_id", 1)]
    part = Part(0, last=(in_order[at - 1],))
    left = [row["_id"] for chosen in part.filters() for row in rows.find(chosen).sort("_id", 1)]
    # Everything compares above MinKey on every server, so all is read again there: no harm.
    assert left[-len(in_order[at:]) :] == in_order[at:]
    assert at == 1 or len(left) == len(in_order[at:])


def test_a_repeated_copy_writes_what_differs_and_removes_what_is_gone(
    new_flow: Callable[..., Flow],
) -> None:
    flow = new_flow(partition_fields=("Day",))
    flow.source.insert_many([{"_id": n, "Day": n} for n in range(2500)])
    with running(flow):
        flow.wait_until_consistent()
    flow.control("marks").delete_many({"flow": str(flow.id)})
    flow.copy.update_one({"_id": 5}, {"$set": {"Day": "odd"}})
    flow.copy.delete_one({"_id": 6})
    flow.copy.insert_one({"_id": "extra", "Day": "gone"})
    flow.control("positions").update_one({"_id": flow.spec.key}, {"$set": {"phase": "new"}})
    with running(flow):
        flow.wait_for_equal_sides()
        flow.wait_until_consistent()
    assert {mark["Day"] for mark in flow.partitions()} == {5, "odd", 6, "gone"}
    assert len(raw(flow.copy)) == 2500
