"""Without transactions a document's own moment keeps it from being doubled or taken back."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import bson
import pytest
from bson import Decimal128, Int64, Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.collection import Collection

from replication.errors import Fenced, WritesRefused
from replication.guard import (
    GUARD_FIELD,
    TOMBSTONE_FIELD,
    Guarantee,
    GuardedCommits,
    GuardedWriter,
    Moment,
    guarantee_of,
    prepare_guarded,
    sweep_tombstones,
    unguarded,
)
from replication.position import MongoTracker, control_database
from replication.spec import Namespace, StreamSpec, WriteMode
from replication.statements import Writes
from replication.streams import raw_collection
from tests.replication.running import Document, Flow, raw, running
from tests.waiting import wait_until

EARLY, LATE = Moment(1, Timestamp(5, 1), 1, 1), Moment(1, Timestamp(6, 1), 1, 2)


@pytest.fixture
def rows(mongo: MongoClient[Document]) -> Iterator[Collection[RawBSONDocument]]:
    collection = raw_collection(mongo, Namespace("", "guard", uuid4().hex))
    yield collection
    collection.drop()


def key(value: object) -> bytes:
    return bson.encode({"_id": value})


def document(value: object, **fields: object) -> bytes:
    return bson.encode({"_id": value, **fields})


def stored(rows: Collection[RawBSONDocument]) -> list[bytes]:
    """The documents as the source would have them."""
    return list(unguarded(bytes(found.raw) for found in rows.find().sort("_id", 1)))


def write(
    rows: Collection[RawBSONDocument], moment: Moment, writes: Writes, *, fresh: bool = False
) -> None:
    GuardedWriter(rows, moment).write(writes, None, fresh=fresh)


def test_moments_have_the_order_of_their_texts() -> None:
    moments = [
        Moment(1),
        Moment(1, Timestamp(5, 9), 7, 99),
        Moment(1, Timestamp(6, 1), 1, 3),
        Moment(1, Timestamp(6, 1), 2, 1),
        Moment(1, Timestamp(6, 1), 2, 11),
        Moment(1, Timestamp(4_000_000_000, 1), 1, 1),
        Moment(2),
    ]
    assert sorted(map(str, moments)) == list(map(str, moments))


@pytest.mark.parametrize("late", [document(1, v="late"), None], ids=["written", "deleted"])
def test_what_is_late_changes_nothing(
    rows: Collection[RawBSONDocument], late: bytes | None
) -> None:
    write(rows, LATE, {key(1): late})
    write(rows, EARLY, {key(1): document(1, v="early"), key(2): document(2)})
    write(rows, EARLY, {key(1): None})
    GuardedWriter(rows, EARLY).insert([(key(1), document(1, v="early"))], None)
    assert stored(rows) == ([late] if late else []) + [document(2)]


def test_what_is_later_is_written(rows: Collection[RawBSONDocument]) -> None:
    rows.insert_one(RawBSONDocument(document(0, v="from a time without guards")))
    GuardedWriter(rows, Moment(1)).insert([(key(n), document(n, v=0)) for n in range(1, 4)], None)
    write(rows, EARLY, {key(0): document(0, v=1), key(1): document(1, v=1), key(2): None})
    write(rows, LATE, {key(2): document(2, b=2, a=2), key(7): None})
    assert stored(rows) == [
        document(0, v=1),
        document(1, v=1),
        document(2, b=2, a=2),
        document(3, v=0),
    ]
    # And all of it again.
    write(rows, EARLY, {key(1): document(1, v=1), key(2): None})
    assert len(stored(rows)) == 4


def test_a_new_snapshot_overwrites_what_an_earlier_one_was_followed_by(
    rows: Collection[RawBSONDocument],
) -> None:
    write(rows, LATE, {key(1): document(1, v="odd"), key(2): None})
    GuardedWriter(rows, Moment(2)).insert(
        [(key(1), document(1, v=2)), (key(2), document(2, v=2))], None
    )
    assert stored(rows) == [document(1, v=2), document(2, v=2)]


def test_a_document_has_the_extra_field_once(rows: Collection[RawBSONDocument]) -> None:
    write(rows, EARLY, {key(1): bson.encode({"_id": 1, GUARD_FIELD: "x", "a": 1})})
    (found,) = rows.find()
    assert bson.decode(found.raw) == {"_id": 1, "a": 1, GUARD_FIELD: str(EARLY)}


def test_a_unique_index_does_not_mind_tombstones_nor_values_that_change_places(
    rows: Collection[RawBSONDocument],
) -> None:
    rows.create_index("n", unique=True)
    write(rows, EARLY, {key(n): document(n, n=n) for n in range(5)})
    write(rows, LATE, {key(3): None, key(4): None})
    later = Moment(1, Timestamp(7, 1), 1, 3)
    swapped = {key(0): document(0, n=1), key(1): document(1, n=0)}
    with pytest.raises(WritesRefused) as error:
        write(rows, later, swapped)
    assert set(error.value.refused) == set(swapped)
    write(rows, later, swapped, fresh=True)
    assert stored(rows) == [document(0, n=1), document(1, n=0), document(2, n=2)]


def test_a_document_that_can_only_be_inserted_is(rows: Collection[RawBSONDocument]) -> None:
    write(rows, EARLY, {key(1): document(1, v=1), key(2): document(2, v=1)})
    dollar: dict[bytes, bytes | None] = {key(1): bson.encode({"_id": 1, "$set": 5})}
    with pytest.raises(WritesRefused):
        write(rows, LATE, dollar)
    write(rows, LATE, dollar, fresh=True)
    write(rows, EARLY, {key(2): bson.encode({"_id": 2, "$set": 5}), **dollar}, fresh=True)
    assert stored(rows) == [dollar[key(1)], document(2, v=1)]


@pytest.mark.parametrize(
    ("before", "after"),
    # The embedded server takes {"a": 1} and {"a": 1.0} for two.
    [(1, 1.0), (1.0, 1), (Int64(1), 1), (1, Decimal128("1.0")), (0.0, -0.0)],
    ids=str,
)
def test_a_document_that_comes_back_under_an_equal_number_is_there(
    rows: Collection[RawBSONDocument], before: object, after: object
) -> None:
    write(rows, EARLY, {key(before): document(before, a=1), key(2): document(2)})
    batch: Writes = {key(before): None, key(after): document(after, a=2), key(2): None}
    for _ in range(2):
        write(rows, LATE, batch)
        assert stored(rows) == [document(after, a=2)]
    write(rows, EARLY, {key(before): document(before, a=1)})
    assert stored(rows) == [document(after, a=2)]


def test_old_tombstones_are_swept(rows: Collection[RawBSONDocument]) -> None:
    prepare_guarded(rows)
    write(rows, EARLY, {key(n): None for n in range(3)})
    rows.update_one({"_id": 1}, {"$set": {TOMBSTONE_FIELD: datetime.now(UTC) - timedelta(hours=2)}})
    assert sweep_tombstones(rows) == 1
    assert {found["_id"] for found in rows.find()} == {0, 2}


@pytest.mark.parametrize(
    ("mode", "guarantee"),
    [
        (WriteMode.AUTOMATIC, Guarantee.EXACTLY_ONCE),
        (WriteMode.TRANSACTIONS, Guarantee.EXACTLY_ONCE),
        (WriteMode.GUARDED, Guarantee.GUARDED),
    ],
)
def test_the_guarantee_is_what_the_flow_or_its_destination_allows(
    mongo: MongoClient[Document], mode: WriteMode, guarantee: Guarantee
) -> None:
    there = Namespace("d", "b", "c")
    spec = StreamSpec(uuid4(), "costs", Namespace("a", "b", "c"), there, write_mode=mode)
    assert guarantee_of(spec, mongo) is guarantee


def test_who_was_succeeded_does_no_work_that_is_not_guarded(mongo: MongoClient[Document]) -> None:
    tracker, stream = MongoTracker(control_database(mongo)), str(uuid4())
    tracker.ensure(stream, uuid4())

    def never(_attempt: int, error: BaseException) -> None:
        raise AssertionError(repr(error))

    def unwanted(_session: object) -> None:
        raise AssertionError("no work was expected")

    old = GuardedCommits(tracker, tracker.take_over(stream, 1), pause=never)
    new = GuardedCommits(tracker, tracker.take_over(stream, 2), pause=never)
    with pytest.raises(Fenced):
        old.run(unwanted, {})
    done: list[object] = []
    new.run(done.append, {"events": 1})
    assert done == [None]
    assert (new.position.batch, new.position.events) == (1, 1)


def plain(flow: Flow) -> dict[bytes, bytes]:
    """The copy as the source would have it."""
    found = [bytes(each.raw) for each in raw_documents(flow)]
    return {repr(bson.decode(each)["_id"]).encode(): each for each in unguarded(found)}


def raw_documents(flow: Flow) -> list[RawBSONDocument]:
    return list(raw_collection(flow.clients["destination"], flow.spec.destination).find())


def test_a_guarded_flow_copies_follows_and_marks(new_flow: Callable[..., Flow]) -> None:
    flow = new_flow(write_mode=WriteMode.GUARDED, partition_fields=("Day",))
    flow.source.insert_many([{"_id": n, "Day": n % 5} for n in range(3000)])
    with running(flow):
        flow.wait_until_consistent()
        assert plain(flow) == raw(flow.source)
        flow.control("marks").delete_many({"flow": str(flow.id)})
        flow.source.update_one({"_id": 1}, {"$set": {"Day": 20}})
        flow.source.delete_one({"_id": 2})
        flow.source.insert_one({"_id": "new", "Day": 30})
        flow.wait_for_events(3)
    assert plain(flow) == raw(flow.source)
    assert {mark["Day"] for mark in flow.partitions()} == {1, 20, 2, 30}
    assert not flow.control("marks").find_one({"flow": str(flow.id), "hidden": {"$exists": True}})
    position = flow.position()
    assert position is not None
    assert position.guarantee == Guarantee.GUARDED


def test_a_repeated_guarded_snapshot_brings_what_differs_and_removes_what_is_gone(
    new_flow: Callable[..., Flow],
) -> None:
    flow = new_flow(write_mode=WriteMode.GUARDED)
    flow.source.insert_many([{"_id": n, "v": n} for n in range(50)])
    with running(flow):
        flow.wait_until_consistent()
    flow.copy.update_one({"_id": 5}, {"$set": {"v": "odd"}})
    flow.copy.delete_one({"_id": 6})
    flow.copy.insert_one({"_id": "extra"})
    flow.control("positions").update_one({"_id": flow.spec.key}, {"$set": {"phase": "new"}})
    with running(flow):
        wait_until(lambda: plain(flow) == raw(flow.source), what="both sides equal")


def test_another_flow_overwrites_what_an_earlier_one_has_left(
    new_flow: Callable[..., Flow],
) -> None:
    first = new_flow(write_mode=WriteMode.GUARDED)
    first.source.insert_many([{"_id": n, "v": "old"} for n in range(20)])
    for number in range(2):
        anew = {"$set": {"phase": "new", "consistent_since": None}}
        first.control("positions").update_one({"_id": first.spec.key}, anew)
        with running(first):
            first.wait_until_consistent()
            first.source.update_one({"_id": number}, {"$set": {"v": "newer"}})
            first.wait_for_events(number + 1)
    first.control("claims").delete_one({"_id": f"{first.copy.database.name}.rows"})  # it is gone
    second = new_flow(write_mode=WriteMode.GUARDED)
    second.spec = replace(second.spec, destination=first.spec.destination)
    second.source.insert_many([{"_id": n, "v": "of the second"} for n in range(20)])
    # A second is what tells two flows' snapshots apart.
    wait_until(lambda: time.time() > began_at(first) + 1, what="the clock goes on")
    with running(second):
        wait_until(lambda: plain(second) == raw(second.source), what="the second's documents")


def began_at(flow: Flow) -> float:
    position = flow.position()
    assert position is not None
    assert position.snapshot_began_at is not None
    return position.snapshot_began_at.timestamp()


def test_a_copy_that_was_guarded_is_made_anew_with_transactions(
    new_flow: Callable[..., Flow],
) -> None:
    guarded = new_flow(write_mode=WriteMode.GUARDED)
    guarded.source.insert_many([{"_id": n} for n in range(20)])
    with running(guarded):
        guarded.wait_until_consistent()
        guarded.source.delete_one({"_id": 1})
        guarded.wait_for_events(1)
    plain_flow = new_flow(flow_id=guarded.id)
    with running(plain_flow):
        plain_flow.wait_for_equal_sides()
        plain_flow.wait_until_consistent()
    position = plain_flow.position()
    assert position is not None
    assert (position.generation, position.guarantee) == (2, Guarantee.EXACTLY_ONCE)
