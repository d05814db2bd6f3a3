"""Changes are compacted to the last state of each document, and batches stay within limits."""

from typing import Any

import bson
import pytest
from bson import Timestamp
from bson.raw_bson import RawBSONDocument
from hypothesis import given
from hypothesis import strategies as st

from replication.changes import BatchBuilder, BatchLimits, UnknownEvent
from replication.errors import HistoryLost

Change = tuple[str, int, int | None]


def event(operation: str, key: int, value: int | None = None, time: int = 1) -> RawBSONDocument:
    document: dict[str, Any] = {
        "operationType": operation,
        "clusterTime": Timestamp(time, 1),
        "documentKey": {"_id": key},
        "fullDocument": None if value is None else {"_id": key, "v": value},
    }
    return RawBSONDocument(bson.encode(document))


def decoded(builder: BatchBuilder) -> dict[int, int | None]:
    writes = builder.take(None, caught_up_at=None).writes
    return {
        bson.decode(key)["_id"]: None if document is None else bson.decode(document)["v"]
        for key, document in writes.items()
    }


def test_the_last_state_of_each_document_wins() -> None:
    builder = BatchBuilder(BatchLimits())
    for change in [("insert", 1, 1), ("update", 1, 2), ("insert", 2, 1), ("delete", 2, None)]:
        builder.add(event(*change))
    assert decoded(builder) == {1: 2, 2: None}


def test_an_update_whose_document_is_gone_changes_nothing_but_counts() -> None:
    builder = BatchBuilder(BatchLimits())
    builder.add(event("insert", 1, 1))
    builder.add(event("update", 1, None))
    batch = builder.take(None, caught_up_at=None)
    assert (batch.events, len(batch.writes)) == (2, 1)
    builder.add(event("delete", 1))
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
    for operation, key, value in changes:
        if operation == "delete":
            expected.pop(key, None)
        else:
            expected[key] = value
    for start in range(0, len(changes), cut):
        builder = BatchBuilder(BatchLimits())
        for operation, key, value in changes[start : start + cut]:
            builder.add(event(operation, key, None if operation == "delete" else value))
        for key, last in decoded(builder).items():
            if last is None:
                applied.pop(key, None)
            else:
                applied[key] = last
    assert applied == expected


@pytest.mark.parametrize(
    "limits", [BatchLimits(writes=2), BatchLimits(size=150), BatchLimits(age=0.5)]
)
def test_a_batch_is_full_at_any_of_its_limits(limits: BatchLimits) -> None:
    now = 10.0
    builder = BatchBuilder(limits, clock=lambda: now)
    seen = [builder.full]
    builder.add(event("insert", 1, 1))
    seen.append(builder.full)
    now += 0.6
    builder.add(event("insert", 2, 1))
    seen.append(builder.full)
    builder.take(None, caught_up_at=None)
    seen.append(builder.full)
    assert seen == [False, False, True, False]


def test_a_batch_knows_up_to_when_everything_was_read() -> None:
    builder = BatchBuilder(BatchLimits())
    builder.add(event("insert", 1, 1, time=5))
    behind = builder.take(None, caught_up_at=None)
    assert behind.position_at == behind.last_event_at == Timestamp(5, 1).as_datetime()
    idle = builder.take(None, caught_up_at=7.0)
    assert idle.position_at is not None
    assert (idle.position_at.timestamp(), idle.last_event_at) == (7.0, None)


@pytest.mark.parametrize("operation", ["drop", "rename", "dropDatabase", "invalidate"])
def test_the_end_of_a_collection_is_the_end_of_its_history(operation: str) -> None:
    with pytest.raises(HistoryLost, match=operation):
        BatchBuilder(BatchLimits()).add(event(operation, 1))


def test_an_unknown_event_is_never_skipped() -> None:
    with pytest.raises(UnknownEvent, match="shardCollection"):
        BatchBuilder(BatchLimits()).add(event("shardCollection", 1))
