"""A flow copies what is there, follows what changes, and records which partitions changed."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from bson import Decimal128, Int64
from pytest_django.fixtures import Settings
from structlog.testing import capture_logs

from replication.preparing import prepare_copy
from replication.spec import Namespace
from replication.worker import Outcome
from tests.replication.running import Document, Flow, raw, running
from tests.waiting import wait_until

NewFlow = Callable[..., Flow]


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def rows(count: int) -> list[Document]:
    return [
        {"_id": f"row{n}", "Day": day(n % 28 + 1), "Cost": Decimal128(f"{n}.10"), "Big": Int64(n)}
        for n in range(count)
    ]


def test_copies_then_follows_every_kind_of_change(flow: Flow) -> None:
    flow.source.insert_many(rows(3000))
    with running(flow):
        flow.wait_until_consistent()
        flow.source.insert_many([{"_id": n, "Cost": 1} for n in range(50)])
        flow.source.update_many({"_id": {"$lt": 10}}, {"$set": {"Cost": 2.5}})
        flow.source.replace_one({"_id": 11}, {"z": 1, "a": None})
        flow.source.delete_many({"_id": {"$gte": 40}})
        wait_until(lambda: flow.events() == 50 + 10 + 1 + 10, what="every event is applied")
        assert raw(flow.copy) == raw(flow.source)
        assert len(raw(flow.copy)) == 3040
    position = flow.position()
    assert position is not None
    assert (position.snapshot_copied, position.snapshot_total) == (3000, 3000)


def test_a_change_is_committed_within_a_second_and_a_half(flow: Flow) -> None:
    with running(flow):
        flow.wait_until_consistent()
        flow.source.insert_one({"_id": 1})
        wait_until(lambda: flow.copy.find_one({"_id": 1}), timeout=1.5, what="the row is there")


def test_changes_during_the_copy_are_not_lost(flow: Flow) -> None:
    flow.source.insert_many(rows(3000))
    with running(flow):
        wait_until(lambda: flow.copy.estimated_document_count() > 0, what="the copy began")
        flow.source.delete_many({"_id": {"$in": ["row0", "row2999"]}})
        flow.source.update_one({"_id": "row7"}, {"$set": {"Cost": "new"}})
        flow.wait_until_consistent()
        flow.wait_for_equal_sides()


def test_marks_name_the_partitions_before_and_after_a_change(new_flow: NewFlow) -> None:
    flow = new_flow(partition_fields=("Day",))
    flow.source.insert_many([{"_id": n, "Day": day(n)} for n in range(1, 4)])
    with running(flow):
        flow.wait_until_consistent()
        assert {mark["Day"] for mark in flow.partitions()} == {day(1), day(2), day(3)}
        flow.control("marks").delete_many({"flow": str(flow.id)})
        flow.source.update_one({"_id": 1}, {"$set": {"Day": day(20)}})
        flow.source.delete_one({"_id": 2})
        flow.source.insert_one({"_id": 4})
        wait_until(lambda: flow.events() == 3, what="the changes are applied")
        found = [mark["Day"] for mark in flow.partitions()]
        assert set(found) == {day(1), day(20), day(2), None}


def test_documents_of_every_type_of_key_stay_the_bytes_they_were(flow: Flow) -> None:
    keys = [1, 2.5, Int64(3), "s", b"bytes", day(1), {"a": {"b": 1}}, True, None, Decimal128("7")]
    flow.source.insert_many([{"_id": key, "v": {"n": [1, Int64(1), 1.0]}} for key in keys])
    with running(flow):
        flow.wait_until_consistent()
        # The embedded server looks an updated document of the key None up in vain.
        flow.source.update_many({"_id": {"$ne": None}}, {"$set": {"x": Int64(5)}})
        flow.source.delete_one({"_id": {"a": {"b": 1}}})
        wait_until(lambda: flow.events() == len(keys), what="the changes are applied")
        assert raw(flow.copy) == raw(flow.source)


def test_a_slice_that_is_over_hands_the_lease_on_at_once(flow: Flow) -> None:
    with running(flow) as first:
        flow.wait_until_consistent()
        with running(flow) as second:
            assert second.result().outcome is Outcome.NO_LEASE
        assert first.stop().outcome is Outcome.HANDED_OVER
    flow.source.insert_one({"_id": 1})
    with running(flow):
        wait_until(lambda: flow.events() == 1, timeout=3, what="the successor goes on")
    lease = flow.lease()
    assert lease is not None
    assert lease["number"] == 2


def test_a_quiet_collection_keeps_its_position_moving(flow: Flow) -> None:
    with running(flow):
        flow.wait_until_consistent()
        before = flow.position()
        flow.clients["source"][flow.spec.source.database]["other"].insert_one({"_id": 1})

        def moved() -> bool:
            now = flow.position()
            return bool(before and now and now.token != before.token and now.events == 0)

        wait_until(moved, what="the token moves without an event")


@pytest.mark.parametrize("event", ["drop", "rename"])
def test_a_source_that_is_dropped_or_renamed_is_copied_anew(flow: Flow, event: str) -> None:
    flow.source.insert_many(rows(10))
    with running(flow):
        flow.wait_until_consistent()
        if event == "drop":
            flow.source.drop()
        else:
            flow.source.rename("elsewhere")
        flow.source.insert_one({"_id": "new"})
        flow.wait_for_equal_sides()
    position = flow.position()
    assert position is not None
    assert position.generation > 1


def generation(flow: Flow) -> int:
    position = flow.position()
    return position.generation if position else 0


def test_an_empty_copy_is_prepared_before_it_is_filled(flow: Flow) -> None:
    flow.source.insert_many(rows(3))
    told: list[tuple[str, Namespace, int]] = []

    def prepare(name: str, destination: Namespace) -> None:
        told.append((name, destination, flow.copy.count_documents({})))

    flow.prepare_copy = prepare
    with running(flow):
        flow.wait_until_consistent()
    again = {"$set": {"snapshots_asked": -1}}
    flow.control("positions").update_one({"_id": flow.spec.key}, again)
    with running(flow):
        wait_until(lambda: generation(flow) == 2, what="it is copied again")
    assert told == [(flow.spec.flow_name, flow.spec.destination, 0)]


@pytest.mark.parametrize("named", ["nowhere.at_all", "builtins.len"])
def test_a_copy_that_cannot_be_prepared_is_told_and_copied(settings: Settings, named: str) -> None:
    settings.REPLICATION_PREPARE_COPY = named
    with capture_logs() as logs:
        prepare_copy("costs", Namespace("d", "reporting", "focus"))
    assert [entry["event"] for entry in logs] == ["copy_not_prepared"]
