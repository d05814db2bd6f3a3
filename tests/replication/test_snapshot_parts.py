"""A repeated copy brings what differs, and removes what is gone."""

from collections.abc import Callable

from tests.replication.running import Flow, raw, running


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
