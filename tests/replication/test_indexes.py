"""Indexes are created in the copy as the source has them, or named with the reason why not."""

from collections.abc import Callable
from typing import Any

from pymongo import MongoClient

from replication.indexes import copy_indexes
from replication.rules import FieldAction, FieldRule
from tests.replication.running import Document, Flow, running
from tests.waiting import wait_until


def indexes(flow: Flow, side: str) -> dict[str, Any]:
    return {each["name"]: each for each in getattr(flow, side).list_indexes()}


def test_indexes_of_every_kind_are_created_in_the_copy(flow: Flow) -> None:
    flow.copy.insert_one({"_id": 1})
    flow.source.create_index([("a", 1), ("b", -1)], unique=True, sparse=True, name="own name")
    flow.source.create_index("c", partialFilterExpression={"c": {"$gt": 1}})
    flow.source.create_index("d", collation={"locale": "en", "strength": 2})
    flow.source.create_index([("e", "2dsphere")])
    assert copy_indexes(flow.source, flow.copy) == ()
    assert indexes(flow, "copy") == indexes(flow, "source")
    assert copy_indexes(flow.source, flow.copy) == ()  # again


def test_an_index_that_deletes_documents_is_left_out(flow: Flow) -> None:
    flow.source.create_index("a", expireAfterSeconds=60)
    (left,) = copy_indexes(flow.source, flow.copy)
    assert str(left).startswith("a_1: it lets documents expire")
    assert list(indexes(flow, "copy")) in ([], ["_id_"])


def test_an_index_of_values_that_the_copy_lacks_is_left_out(flow: Flow) -> None:
    flow.source.create_index([("a", 1), ("Tags.owner", 1)])
    flow.source.create_index("hashed")
    rules = [FieldRule("Tags", FieldAction.DROP), FieldRule("hashed", FieldAction.HASH)]
    (left,) = copy_indexes(flow.source, flow.copy, rules)
    assert left.reason == "the copy does not have the values of Tags.owner"
    assert "hashed_1" in indexes(flow, "copy")


def test_an_index_that_cannot_be_built_is_named_without_values(flow: Flow) -> None:
    flow.source.create_index("a", unique=True)
    flow.source.create_index("b")
    flow.copy.insert_many([{"_id": n, "a": "canary"} for n in range(2)])
    (left,) = copy_indexes(flow.source, flow.copy)
    assert (left.name, left.reason) == ("a_1", "documents of the copy have the same values")
    assert "b_1" in indexes(flow, "copy")


def test_a_flow_copies_indexes_once_its_copy_is_consistent(
    new_flow: Callable[..., Flow], mongo: MongoClient[Document]
) -> None:
    flow = new_flow(copy_indexes=True)
    flow.source.create_index("a", unique=True)
    flow.source.create_index("t", expireAfterSeconds=60)
    flow.source.insert_many([{"_id": n, "a": n} for n in range(10)])
    with running(flow):
        flow.wait_until_consistent()
        wait_until(lambda: "a_1" in indexes(flow, "copy"), what="the index is there")

        def noted() -> bool:
            position = flow.position()
            return position is not None and position.indexes_at is not None

        wait_until(noted, what="the position knows")
    position = flow.position()
    assert position is not None
    assert [text.partition(":")[0] for text in position.indexes_left_out] == ["t_1"]
