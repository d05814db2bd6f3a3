"""A copy brings what is missing or different; a repeated one removes what is gone too."""

from collections.abc import Callable
from dataclasses import replace

from bson import Int64

from replication.planning import Splitting
from replication.rules import FieldAction, FieldRule
from tests.replication.running import Flow, raw, running
from tests.waiting import wait_until


def snapshot_again(flow: Flow) -> None:
    flow.control("positions").update_one({"_id": flow.spec.key}, {"$set": {"phase": "new"}})


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
    snapshot_again(flow)
    with running(flow):
        flow.wait_for_equal_sides()
        flow.wait_until_consistent()
    assert {mark["Day"] for mark in flow.partitions()} == {5, "odd", 6, "gone"}
    assert len(raw(flow.copy)) == 2500


def test_a_first_copy_overwrites_what_was_there_and_removes_nothing(
    new_flow: Callable[..., Flow],
) -> None:
    flow = new_flow(partition_fields=("Day",))
    flow.source.insert_many([{"_id": n, "Day": n % 3} for n in range(300)])
    flow.copy.insert_many([{"_id": 7, "Day": "old"}, {"_id": 8, "Day": 2}, {"_id": "own"}])
    with running(flow):
        flow.wait_until_consistent()
    assert flow.copy.find_one({"_id": "own"}) == {"_id": "own"}
    flow.copy.delete_one({"_id": "own"})
    assert raw(flow.copy) == raw(flow.source)
    assert {mark["Day"] for mark in flow.partitions()} == {0, 1, 2, "old"}


def test_a_key_whose_type_differs_is_replaced(flow: Flow) -> None:
    flow.source.insert_many([{"_id": 1.0}, {"_id": Int64(2)}])
    flow.copy.insert_many([{"_id": 1, "n": 1}, {"_id": 2, "n": 2}])
    with running(flow):
        flow.wait_until_consistent()
    assert raw(flow.copy) == raw(flow.source)


def test_documents_that_somebody_else_wrote_meanwhile_are_overwritten(flow: Flow) -> None:
    flow.source.insert_many([{"_id": n, "n": n} for n in range(50)])
    flow.run(lambda: not flow.parts())  # planned for a copy that is empty
    flow.copy.insert_many([{"_id": n, "n": "foreign"} for n in range(20, 30)])
    with running(flow):
        flow.wait_until_consistent()
    assert raw(flow.copy) == raw(flow.source)


def test_only_what_matches_is_copied_and_what_no_longer_does_goes(
    new_flow: Callable[..., Flow],
) -> None:
    flow = new_flow(filter='{"Provider": "A"}')
    providers = [{"_id": n, "n": n, "Provider": "AB"[n % 2]} for n in range(200)]
    flow.source.insert_many(providers)
    with running(flow):
        flow.wait_until_consistent()
    assert len(raw(flow.copy)) == 100
    assert flow.copied() == 100
    flow.spec = replace(flow.spec, filter='{"n": {"$lt": 50}}')
    snapshot_again(flow)
    with running(flow):
        wait_until(lambda: len(raw(flow.copy)) == 50, what="what no longer matches is removed")
        flow.wait_until_consistent()
    assert raw(flow.copy) == {
        key: document for key, document in raw(flow.source).items() if int(key) < 50
    }


def test_fields_are_hidden_in_the_copy_and_stay_so_in_a_repeated_one(
    new_flow: Callable[..., Flow],
) -> None:
    rules = (FieldRule("owner", FieldAction.DROP), FieldRule("mail", FieldAction.HASH))
    flow = new_flow(rules=rules, hash_key=b"k" * 32)
    flow.source.insert_many([{"_id": n, "owner": "o", "mail": "m", "n": n} for n in range(50)])
    with running(flow):
        flow.wait_until_consistent()
    first = raw(flow.copy)
    assert all("owner" not in found and found["mail"] != "m" for found in flow.copy.find())
    snapshot_again(flow)
    with running(flow):
        wait_until(
            lambda: flow.position().generation == 2,  # type: ignore[union-attr]
            what="the second snapshot begins",
        )
        flow.wait_until_consistent()
    assert raw(flow.copy) == first


def test_more_than_a_chunk_of_what_is_gone_is_removed(flow: Flow) -> None:
    flow.source.insert_one({"_id": 10_000})
    with running(flow):
        flow.wait_until_consistent()
    flow.copy.insert_many([{"_id": n} for n in range(5_200)])
    snapshot_again(flow)
    with running(flow):
        flow.wait_for_equal_sides(timeout=60)


def test_what_a_unique_index_refuses_comes_once_another_part_has_made_room(
    new_flow: Callable[..., Flow],
) -> None:
    flow = new_flow(splitting=Splitting(documents=100, opening=1e6))
    flow.source.insert_many([{"_id": n, "n": n} for n in range(200)])
    flow.copy.create_index("n", unique=True)
    with running(flow):
        flow.wait_until_consistent()
    flow.copy.update_one({"_id": 1}, {"$set": {"n": -1}})
    flow.copy.insert_one({"_id": 500, "n": 1})  # in the way of another part
    snapshot_again(flow)
    with running(flow):
        flow.wait_for_equal_sides()
        letters = flow.control("dead_letters")
        wait_until(
            lambda: not letters.count_documents({"flow": str(flow.id)}), what="the letter is gone"
        )


def test_a_repeated_copy_that_is_interrupted_goes_on_where_it_was(
    new_flow: Callable[..., Flow],
) -> None:
    flow = new_flow(splitting=Splitting(documents=100, opening=1e6))
    flow.source.insert_many([{"_id": n, "n": n} for n in range(400)])
    with running(flow):
        flow.wait_until_consistent()
    flow.copy.update_many({"_id": {"$in": [10, 390]}}, {"$set": {"n": -1}})
    flow.copy.insert_many([{"_id": 10.5}, {"_id": 390.5}])
    snapshot_again(flow)
    flow.run(lambda: not any(part.done for part in flow.parts()))
    done = [part.key for part in flow.parts() if part.done]
    assert 0 < len(done) < 4
    assert raw(flow.copy) != raw(flow.source)
    with running(flow):
        flow.wait_for_equal_sides()
        flow.wait_until_consistent()
    assert flow.copied() == 400
