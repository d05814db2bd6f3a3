"""Parts of a snapshot: several workers copy them, and none of them copies anything twice."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp

from replication.errors import Fenced, Interrupted, LeaseLost
from replication.parts import Part
from replication.planning import Splitting, plan_spans
from replication.position import Phase
from replication.rules import FieldAction, FieldRule
from replication.streams import raw_collection
from tests.replication.running import Flow, raw, running
from tests.waiting import wait_until

IN_FOUR = Splitting(documents=500, opening=1e6)


def planned(flow: Flow) -> list[Part]:
    """Let an owner begin the snapshot and leave before it copies anything."""
    flow.run(lambda: not flow.parts())
    return flow.parts()


def mixed_keys(count: int) -> list[object]:
    kinds: list[Callable[[int], object]] = [
        lambda n: n,
        lambda n: Int64(n) + 10_000,
        lambda n: n + 0.5,
        lambda n: Decimal128(f"{n}.25"),
        lambda n: f"key {n}",
        lambda n: {"a": n},
        lambda n: n.to_bytes(4),
        lambda n: ObjectId(n.to_bytes(12)),
        lambda n: datetime.fromtimestamp(n, UTC),
        lambda n: Timestamp(n, 1),
    ]
    rare = [MinKey(), MaxKey(), None, True, False, float("nan"), float("-inf")]
    return rare + [kinds[n % len(kinds)](n) for n in range(count)]


def test_keys_of_all_types_are_copied_in_parts(new_flow: Callable[..., Flow]) -> None:
    flow = new_flow(splitting=Splitting(documents=100, opening=1e6))
    flow.source.insert_many([{"_id": key, "n": n} for n, key in enumerate(mixed_keys(1200))])
    assert len(planned(flow)) > 5
    with running(flow):
        flow.wait_until_consistent()
    assert raw(flow.copy) == raw(flow.source)
    assert flow.parts() == []
    assert flow.copied() == 1207


def test_helpers_and_the_owner_copy_parts_at_once(new_flow: Callable[..., Flow]) -> None:
    flow = new_flow(splitting=IN_FOUR, partition_fields=("Day",))
    flow.source.insert_many([{"_id": n, "Day": n % 7} for n in range(2000)])
    keys = [part.key for part in planned(flow)]
    assert len(keys) == 4
    helped = []

    def help_with(part: str) -> None:
        helped.append(flow.part_worker().copy(part, wanted=lambda: True))

    helpers = [threading.Thread(target=help_with, args=[part]) for part in keys[2:]]
    for helper in helpers:
        helper.start()
    with running(flow):
        flow.wait_until_consistent()
    for helper in helpers:
        helper.join()
    assert True in helped
    assert raw(flow.copy) == raw(flow.source)
    assert {mark["Day"] for mark in flow.partitions()} == set(range(7))
    # One mark for each part: nothing was committed twice.
    assert flow.control("marks").count_documents({"flow": str(flow.id)}) == 4


def test_the_owner_waits_for_a_part_that_a_helper_copies(new_flow: Callable[..., Flow]) -> None:
    flow = new_flow(splitting=IN_FOUR)
    flow.source.insert_many([{"_id": n} for n in range(2000)])
    last = planned(flow)[-1]
    with held(flow, last) as release, running(flow):
        wait_until(
            lambda: sum(part.done for part in flow.parts()) == 3, what="the other parts are copied"
        )
        assert flow.position().phase is Phase.SNAPSHOT  # type: ignore[union-attr]
        release.set()
        flow.wait_until_consistent()
    assert raw(flow.copy) == raw(flow.source)


def test_two_workers_on_one_part_commit_everything_once(new_flow: Callable[..., Flow]) -> None:
    flow = new_flow(partition_fields=("Day",))
    flow.source.insert_many([{"_id": n, "Day": n} for n in range(100)])
    (part,) = planned(flow)
    with held(flow, part) as release:
        flow.control("leases").update_one(
            {"_id": part.key}, {"$set": {"expires": datetime(2000, 1, 1, tzinfo=UTC)}}
        )
        assert flow.part_worker().copy(part.key, wanted=lambda: True)
        release.set()
    (done,) = flow.parts()
    assert (done.copied, done.done, done.epoch) == (100, True, 2)
    assert raw(flow.copy) == raw(flow.source)
    assert flow.control("marks").count_documents({"flow": str(flow.id)}) == 1


def test_nobody_copies_a_part_that_was_planned_for_another_shape_or_destination(
    flow: Flow,
) -> None:
    flow.source.insert_one({"_id": 1, "owner": "somebody"})
    (part,) = planned(flow)
    hiding = replace(flow.spec, rules=(FieldRule("owner", FieldAction.DROP),))
    elsewhere = replace(flow.spec, destination=replace(flow.spec.destination, collection="other"))
    for flow.spec in (hiding, elsewhere):
        assert not flow.part_worker().copy(part.key, wanted=lambda: True)
    assert flow.copy.find_one() is None
    assert flow.copied() == 0


def test_a_snapshot_that_begins_anew_fences_the_parts_of_the_one_before(flow: Flow) -> None:
    flow.source.insert_many([{"_id": n} for n in range(100)])
    (part,) = planned(flow)
    with held(flow, part) as release:
        flow.control("positions").update_one({"_id": flow.spec.key}, {"$set": {"phase": "new"}})
        flow.run(lambda: [each.key for each in flow.parts()] in ([part.key], []))
        (anew,) = flow.parts()
        release.set()
    assert anew.key != part.key
    assert flow.copy.estimated_document_count() == 0


def test_who_was_succeeded_does_not_touch_the_parts_of_the_successors_snapshot(
    flow: Flow,
) -> None:
    flow.source.insert_one({"_id": 1})
    before = planned(flow)
    stolen = {"$inc": {"epoch": 1}}

    def steal() -> bool:
        flow.control("positions").update_one({"_id": flow.spec.key}, stolen)
        return True

    result = flow.run(steal)
    assert result.outcome == "lost"
    assert [part.key for part in flow.parts()] == [part.key for part in before]


def test_spans_hold_everything_in_the_order_of_the_server(flow: Flow) -> None:
    flow.source.insert_many([{"_id": key} for key in mixed_keys(400)])
    source = raw_collection(flow.clients["source"], flow.spec.source)
    spans = plan_spans(source, 400, Splitting(documents=50, opening=1e6))
    assert len(spans) > 4
    found = [
        bytes(document.raw)
        for span in spans
        for chosen in span.filters()
        for document in source.find(chosen).sort("_id", 1)
    ]
    assert found == [bytes(document.raw) for document in source.find().sort("_id", 1)]


def test_a_server_that_is_slow_to_open_a_range_gets_one_part(flow: Flow) -> None:
    flow.source.insert_many([{"_id": n} for n in range(400)])
    source = raw_collection(flow.clients["source"], flow.spec.source)
    assert len(plan_spans(source, 400, Splitting(documents=50, opening=0.0))) == 1


@contextmanager
def held(flow: Flow, part: Part) -> Iterator[threading.Event]:
    """Let a helper take a part and read its first chunk; it goes on when the event is set."""
    took, release = threading.Event(), threading.Event()
    ended: list[bool | Exception] = []

    def wanted() -> bool:
        took.set()
        return release.wait(30)

    def work() -> None:
        try:
            ended.append(flow.part_worker().copy(part.key, wanted=wanted))
        except (Fenced, LeaseLost, Interrupted) as error:
            ended.append(error)

    helper = threading.Thread(target=work)
    helper.start()
    try:
        assert took.wait(10), "the helper does not begin"
        yield release
    finally:
        release.set()
        helper.join(20)
    assert ended
