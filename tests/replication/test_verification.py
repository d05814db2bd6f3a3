"""Verification finds what differs, raises no false alarm, and repairs without undoing anything."""

import json
import threading
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from bson import Decimal128, Int64, MaxKey, ObjectId, encode
from bson.raw_bson import RawBSONDocument
from django.core.management import call_command
from pymongo.collection import Collection

from replication.mongo import close_clients
from replication.ranges import Kind
from replication.repairs import CannotRepair, Repaired, Repairs
from replication.settling import Difference, Pace, hashed
from replication.streams import raw_collection
from replication.verification import CopyNotWhole, Verification, Verifier
from tests.replication.rows import row_of
from tests.replication.running import Document, Flow, raw, running
from tests.waiting import wait_until

BRISK = Pace(margin=0.1, patience=20.0, without_owner=0.0, look=0.02)


def rows(count: int) -> list[Document]:
    return [{"_id": n, "Day": n % 7, "Cost": Decimal128(f"{n}.10")} for n in range(count)]


def verifier(flow: Flow, **options: Any) -> Verifier:
    clients = flow.clients
    options.setdefault("pace", BRISK)
    return Verifier(flow.spec, clients["source"], clients["destination"], **options)


def verify(flow: Flow, **options: Any) -> Verification:
    return verifier(flow, **options).verify_all()


@pytest.fixture
def new_copy(new_flow: Callable[..., Flow]) -> Callable[[int], Flow]:
    """Make a flow that has copied some rows and rests."""

    def build(count: int) -> Flow:
        flow = new_flow(partition_fields=("Day",))
        flow.source.insert_many(rows(count))
        with running(flow):
            flow.wait_until_consistent()
        flow.control("marks").delete_many({"flow": str(flow.id)})
        return flow

    return build


@pytest.fixture
def copied(new_copy: Callable[[int], Flow]) -> Flow:
    return new_copy(3000)


@pytest.fixture
def small(new_copy: Callable[[int], Flow]) -> Flow:
    return new_copy(120)


def test_equal_sides_are_equal(copied: Flow) -> None:
    reads: list[int] = []
    result = verify(copied, on_progress=reads.append)
    assert (result.differences, result.unsettled, result.ranges_looked_into) == (0, 0, 0)
    assert result.source == result.destination
    assert result.source.count == reads[-1] == 3000
    assert result.ranges >= 3


def test_one_type_one_missing_and_one_extra_are_found_and_repaired(copied: Flow) -> None:
    copied.copy.update_one({"_id": 1234}, {"$set": {"Day": Int64(1234 % 7)}})
    copied.copy.delete_one({"_id": 2000})
    copied.copy.insert_one({"_id": "extra", "Day": 30})
    found = verify(copied)
    assert dict(found.counts) == {Kind.CHANGED: 1, Kind.MISSING: 1, Kind.EXTRA: 1}
    assert set(found.listed) == {
        (Kind.CHANGED, 1234),
        (Kind.MISSING, 2000),
        (Kind.EXTRA, "extra"),
    }
    assert found.ranges_looked_into <= 3
    repaired = verify(copied, repair=True)
    assert (repaired.repaired, repaired.remaining) == (3, 0)
    assert raw(copied.copy) == raw(copied.source)
    days = {mark["Day"] for mark in copied.partitions()}
    assert days == {1234 % 7, 2000 % 7, 30}
    assert verify(copied).differences == 0


def test_keys_of_every_type_are_compared(flow: Flow) -> None:
    keys = [2.5, Int64(3), "s", b"bytes", {"a": {"b": 1}}, True, None, ObjectId(), MaxKey()]
    flow.source.insert_many([{"_id": key, "v": 1} for key in keys])
    with running(flow):
        flow.wait_until_consistent()
    assert verify(flow).source.count == len(keys)
    flow.copy.delete_many({"_id": {"$in": ["s", ObjectId(), True, b"bytes"]}})
    flow.copy.delete_one({"_id": 3})
    flow.copy.insert_one({"_id": 3, "v": 1})
    result = verify(flow, repair=True)
    assert dict(result.counts) == {Kind.MISSING: 3, Kind.CHANGED: 1}
    assert result.remaining == 0
    assert raw(flow.copy) == raw(flow.source)


def test_all_are_counted_and_some_are_listed(small: Flow) -> None:
    small.copy.delete_many({"_id": {"$lt": 110}})
    result = verify(small)
    assert (result.counts[Kind.MISSING], len(result.listed)) == (110, 100)


def test_a_running_flow_gives_no_false_alarm_and_real_ones_are_repaired(copied: Flow) -> None:
    stop = threading.Event()

    def load() -> None:
        turn = 0
        while not stop.wait(0.002):
            turn += 1
            copied.source.update_one({"_id": turn * 37 % 2000}, {"$set": {"Turn": turn}})
            copied.source.insert_one({"_id": f"new{turn}", "Day": turn % 7})
            copied.source.delete_one({"_id": f"new{turn - 20}"})

    copied.copy.delete_one({"_id": 2500})
    writer = threading.Thread(target=load)
    with running(copied):
        before = copied.events()
        writer.start()
        try:
            wait_until(lambda: copied.events() > before, what="the flow follows")
            result = verify(copied, repair=True, pace=Pace())
            again = verify(copied, pace=Pace())
        finally:
            stop.set()
            writer.join()
        copied.wait_for_equal_sides()
    assert result.running
    assert result.listed == [(Kind.MISSING, 2500)]
    assert (result.repaired, result.unsettled) == (1, 0)
    assert (again.differences, again.unsettled) == (0, 0)


def source_of(flow: Flow) -> Collection[RawBSONDocument]:
    return raw_collection(flow.clients["source"], flow.spec.source)


def difference(flow: Flow, key: int) -> Difference:
    place = repr(key).encode()
    here, there = raw(flow.source).get(place), raw(flow.copy).get(place)
    return Difference(Kind.CHANGED, encode({"_id": key}), hashed(here), hashed(there))


def test_what_has_changed_since_it_was_compared_is_left_alone(small: Flow) -> None:
    small.copy.update_one({"_id": 1}, {"$set": {"Day": "old"}})
    small.copy.update_one({"_id": 2}, {"$set": {"Day": "old"}})
    found = [difference(small, 1), difference(small, 2)]
    small.copy.update_one({"_id": 1}, {"$set": {"Day": "newer"}})
    small.source.update_one({"_id": 2}, {"$set": {"Day": "newer"}})
    repairs = Repairs(source_of(small), small.clients["destination"], small.spec)
    assert repairs.repair(found).repaired == 0
    assert small.copy.distinct("Day", {"_id": {"$in": [1, 2]}}) == ["newer", "old"]


def test_a_batch_of_the_flow_between_reading_and_writing_wins(small: Flow) -> None:
    """Even one that leaves the document in the bytes that were compared."""
    small.copy.update_one({"_id": 1}, {"$set": {"Day": "stale"}})
    found = difference(small, 1)
    moves: list[int] = []

    class Racing(Repairs):
        def _once(self, differences: Any) -> Repaired:
            tracker, load = self._tracker, self._tracker.load

            def load_then_move(key: str) -> Any:
                position = load(key)
                if not moves and position is not None:
                    moves.append(position.batch)
                    # The flow commits a batch right after the position was read.
                    small.control("positions").update_one({"_id": key}, {"$inc": {"batch": 1}})
                return position

            tracker.load = load_then_move  # type: ignore[method-assign]
            try:
                return super()._once(differences)
            finally:
                del tracker.load

    repairs = Racing(source_of(small), small.clients["destination"], small.spec)
    assert repairs.repair([found]).repaired == 1
    position = small.position()
    assert position is not None
    assert (len(moves), position.batch) == (1, moves[0] + 1)


def test_a_document_that_the_destination_refuses_does_not_stop_the_others(small: Flow) -> None:
    small.copy.delete_many({"_id": {"$in": [1, 2]}})
    small.copy.create_index("Cost", unique=True)
    small.copy.update_one({"_id": 3}, {"$set": {"Cost": Decimal128("1.10")}})
    small.source.delete_one({"_id": 3})
    small.source.insert_one({"_id": 3, "Cost": Decimal128("1.10")})
    small.copy.replace_one({"_id": 3}, {"Cost": Decimal128("1.10")})
    result = verify(small, repair=True)
    assert (result.repaired, result.refused, result.remaining) == (1, 1, 1)


def test_a_flow_that_copies_or_has_not_begun_is_refused(flow: Flow) -> None:
    flow.source.insert_one({"_id": 1})
    with pytest.raises(CannotRepair, match="has not copied anything"):
        verify(flow, repair=True)
    flow.control("positions").insert_one(
        {"_id": flow.spec.key, "epoch": 1, "batch": 1, "phase": "snapshot", "snapshot_total": 5}
    )
    with pytest.raises(CopyNotWhole, match="0 of about 5"):
        verify(flow)


def test_a_sample_is_compared(small: Flow) -> None:
    assert verifier(small).verify_sample(50).differences == 0
    small.copy.delete_many({})
    result = verifier(small).verify_sample(50)
    assert 0 < result.counts[Kind.MISSING] == result.source.count <= 50


@pytest.mark.django_db(transaction=True)
def test_the_command_tells_by_its_exit_code(small: Flow, mongo_server: str) -> None:
    row = row_of(small, mongo_server)
    row.enabled = False
    row.save()
    small.copy.delete_one({"_id": 7})
    try:
        out = StringIO()
        with pytest.raises(SystemExit) as exit_:
            call_command("verify_flow", "costs", "--json", stdout=out)
        assert exit_.value.code == 1
        found = json.loads(out.getvalue())
        assert (found["missing"], found["listed"]) == (1, [{"kind": "missing", "_id": 7}])
        out = StringIO()
        call_command("verify_flow", "costs", "--repair", stdout=out)
        assert "1 missing in the destination" in out.getvalue()
        assert "Repaired: 1. Remaining: 0." in out.getvalue()
        out = StringIO()
        call_command("verify_flow", "costs", stdout=out)
        assert "Equal." in out.getvalue()
    finally:
        close_clients()
