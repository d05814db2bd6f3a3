"""What administrators ask of a flow, and what a change of its filter or rules entails."""

from dataclasses import replace

from replication.rules import FieldAction, FieldRule
from tests.replication.running import Document, Flow, raw, running
from tests.waiting import wait_until


def ask(flow: Flow, **changes: object) -> None:
    flow.spec = replace(flow.spec, **changes)  # type: ignore[arg-type]


def found(flow: Flow) -> list[Document]:
    return list(flow.copy.find().sort("_id", 1))


def test_a_snapshot_that_was_asked_for_is_taken_once(flow: Flow) -> None:
    flow.source.insert_many([{"_id": n} for n in range(5)])
    with running(flow):
        flow.wait_until_consistent()
    flow.copy.delete_one({"_id": 3})
    flow.copy.insert_one({"_id": "stray"})
    ask(flow, snapshots_asked=1)
    for _ in range(2):
        with running(flow):
            flow.wait_for_equal_sides()
            flow.wait_until_consistent()
    position = flow.position()
    assert position is not None
    assert (position.generation, position.snapshots_asked) == (2, 1)


def test_changes_up_to_now_are_skipped_once_and_the_flow_says_so(flow: Flow) -> None:
    with running(flow):
        flow.wait_until_consistent()
    flow.source.insert_one({"_id": "left out"})
    ask(flow, skips_asked=1)
    with running(flow):
        wait_until(lambda: (p := flow.position()) and p.skipped_at, what="the changes are skipped")
        flow.source.insert_one({"_id": "after"})
        flow.wait_for_events(1)
    position = flow.position()
    assert position is not None
    assert found(flow) == [{"_id": "after"}]
    assert (position.skips_asked, position.consistent_since) == (1, None)
    ask(flow, snapshots_asked=1)
    with running(flow):
        flow.wait_until_consistent()
        flow.wait_for_equal_sides()
    position = flow.position()
    assert position is not None
    assert position.skipped_at is None


def test_a_new_rule_shapes_everything_anew_and_every_change_after_it(flow: Flow) -> None:
    flow.source.insert_many([{"_id": n, "name": "x", "cost": n} for n in range(3)])
    with running(flow):
        flow.wait_until_consistent()
        assert raw(flow.copy) == raw(flow.source)
    ask(flow, rules=(FieldRule("name", FieldAction.DROP),))
    with running(flow):
        wait_until(lambda: (p := flow.position()) and p.generation == 2 and p.consistent_since)
        assert found(flow) == [{"_id": n, "cost": n} for n in range(3)]
        flow.source.insert_one({"_id": 3, "name": "y", "cost": 3})
        flow.source.update_one({"_id": 0}, {"$set": {"cost": 9}})
        flow.wait_for_events(2)
    assert found(flow)[0] == {"_id": 0, "cost": 9}
    assert found(flow)[3] == {"_id": 3, "cost": 3}


def test_a_filtered_flow_holds_what_matches_and_lets_go_of_what_no_longer_does(flow: Flow) -> None:
    ask(flow, filter='{"$or": [{"kind": "a"}, {"tags.env": {"$in": ["prod"]}}]}')
    flow.source.insert_many([{"_id": n, "kind": "ab"[n % 2]} for n in range(4)])
    with running(flow):
        flow.wait_until_consistent()
        assert [row["_id"] for row in found(flow)] == [0, 2]
        flow.source.insert_many([{"_id": 4, "kind": "b"}, {"_id": 5, "kind": "a"}])
        flow.source.update_one({"_id": 0}, {"$set": {"kind": "b"}})
        flow.source.update_one({"_id": 1}, {"$set": {"kind": "a"}})
        flow.source.replace_one({"_id": 2}, {"kind": "c"})
        flow.source.replace_one({"_id": 3}, {"tags": {"env": "prod"}})
        flow.source.insert_one({"_id": 6, "tags": {"env": "prod"}})
        wait_until(lambda: [row["_id"] for row in found(flow)] == [1, 3, 5, 6], what="it matches")
        flow.source.delete_many({})
        wait_until(lambda: not found(flow), what="all are gone")
