"""Changes are compacted to the last state of each document, in the order of their last events."""

from typing import Any

import bson
import pytest
from bson import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from replication.changes import Batch, BatchBuilder, UnknownEvent
from replication.errors import HistoryLost
from replication.lookups import Ahead, Found
from replication.wire import Event


def new_builder(**options: Any) -> BatchBuilder:
    return BatchBuilder(Ahead(), **options)


def event(operation: str, key: Any, value: int | None = None, time: int = 1) -> Event:
    document = None if value is None else bson.encode({"_id": key, "v": value})
    cluster_time = time << 32 | 1
    return Event(operation.encode(), bson.encode({"_id": key}), document, cluster_time, b"")


def add(builder: BatchBuilder, *changes: tuple[Any, ...]) -> None:
    for change in changes:
        builder.add(event(*change), until=0)


def taken(builder: BatchBuilder, caught_up_at: float | None = None) -> Batch:
    return builder.take(None, caught_up_at).batch()


def decoded(builder: BatchBuilder) -> dict[int, int | None]:
    return {
        bson.decode(key)["_id"]: None if document is None else bson.decode(document)["v"]
        for key, document in taken(builder).writes.items()
    }


def test_the_last_state_of_each_document_wins_in_the_order_of_their_last_events() -> None:
    builder = new_builder()
    add(
        builder,
        ("insert", 1, 1),
        ("insert", 2, 1),
        ("update", 1, 2),
        ("delete", 2),
        ("insert", 3, 1),
    )
    found = decoded(builder)
    assert list(found.items()) == [(1, 2), (2, None), (3, 1)]
    assert decoded(builder) == {}


def test_an_update_whose_document_is_gone_changes_nothing_but_counts() -> None:
    builder = new_builder()
    add(builder, ("insert", 1, 1), ("update", 1, None))
    batch = taken(builder)
    assert (batch.events, len(batch.writes)) == (2, 1)
    add(builder, ("insert", 1, 1), ("update", 1, None), ("delete", 1))
    assert decoded(builder) == {1: None}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["insert", "replace", "delete"]), st.integers(0, 4), st.integers(0, 9)
        )
    ),
    st.integers(1, 5),
)
def test_applying_batches_is_applying_every_change(
    changes: list[tuple[str, int, int]], cut: int
) -> None:
    expected: dict[int, int] = {}
    applied: dict[int, int] = {}
    order: dict[int, None] = {}
    for operation, key, value in changes:
        if operation == "delete":
            expected.pop(key, None)
        else:
            expected[key] = value
    for start in range(0, len(changes), cut):
        builder, order = new_builder(), {}
        for operation, key, value in changes[start : start + cut]:
            add(builder, (operation, key, None if operation == "delete" else value))
            order.pop(key, None)
            order[key] = None
        found = decoded(builder)
        assert list(found) == list(order)
        for key, last in found.items():
            if last is None:
                applied.pop(key, None)
            else:
                applied[key] = last
    assert applied == expected


def test_a_batch_has_a_size_and_an_age() -> None:
    now = 10.0
    builder = new_builder(clock=lambda: now)
    assert (builder.age, builder.size) == (0, 0)
    add(builder, ("insert", 1, 1), ("delete", 1))
    now += 0.6
    length = len(bson.encode({"_id": 1}))
    assert builder.age == pytest.approx(0.6)
    assert (builder.events, builder.writes, builder.size) == (2, 1, 2 * length + length + 7)
    taken(builder)
    assert (builder.events, builder.age, builder.size) == (0, 0, 0)


def test_a_batch_knows_up_to_when_everything_was_read() -> None:
    builder = new_builder()
    add(builder, ("insert", 1, 1, 5))
    behind = taken(builder)
    assert behind.position_at == behind.last_event_at == Timestamp(5, 1).as_datetime()
    idle = taken(builder, 7.0)
    assert idle.position_at is not None
    assert (idle.position_at.timestamp(), idle.last_event_at) == (7.0, None)


def test_a_key_of_a_sharded_collection_is_its_id() -> None:
    builder = new_builder()
    key = bson.encode({"region": "eu", "_id": 1})
    builder.add(Event(b"delete", key, None, 1, b""), until=0)
    assert decoded(builder) == {1: None}


def test_where_only_a_look_up_can_tell_it_is_waited_for() -> None:
    builder = new_builder(look_up=True)
    add(
        builder,
        ("insert", 1, 1),
        ("replace", 2, 1),
        ("update", 3, None),
        ("delete", 3),
        ("update", 4),
    )
    collected = builder.take(None, None)
    two, four = (bson.encode({"_id": key}) for key in (2, 4))
    assert set(collected.missing) == {two, four}
    document = bson.encode({"_id": 2, "v": 9})
    collected.fill(Found({two: document, four: None}, 8 << 32))
    batch = collected.batch()
    assert (batch.writes[two], batch.writes[four]) == (document, None)
    assert batch.looked_up_until == Timestamp(8, 0)
    assert [bson.decode(key)["_id"] for key in batch.writes] == [1, 2, 3, 4]


def test_a_slim_event_is_looked_up() -> None:
    builder = new_builder()
    builder.add(event("insert", 1), until=0, slim=True)
    builder.add(event("delete", 2), until=0, slim=True)
    assert builder.take(None, None).missing == (bson.encode({"_id": 1}),)


def test_documents_can_be_asked_for() -> None:
    builder = new_builder()
    add(builder, ("insert", 1, 1))
    builder.ask_for([bson.encode({"_id": key}) for key in (1, 2)])
    collected = builder.take(None, None)
    assert len(collected.missing) == len(collected.writes) == 2
    assert collected.events == 1


@pytest.mark.parametrize("operation", ["drop", "rename", "dropDatabase", "invalidate"])
def test_the_end_of_a_collection_is_the_end_of_its_history(operation: str) -> None:
    with pytest.raises(HistoryLost, match=operation):
        new_builder().add(Event(operation.encode(), b"", None, 1, b""), until=0)


def test_an_unknown_event_is_never_skipped() -> None:
    with pytest.raises(UnknownEvent, match="shardCollection"):
        new_builder().add(event("shardCollection", 1), until=0)
