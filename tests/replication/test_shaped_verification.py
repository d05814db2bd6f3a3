"""A copy that a flow shapes, filters or guards is compared with what it should be."""

from collections.abc import Callable

import pytest

from replication.dead_letters import DeadLetters
from replication.position import control_database
from replication.ranges import Kind
from replication.rules import FieldAction, FieldRule
from replication.settling import Pace
from replication.spec import WriteMode
from replication.verification import Verification, Verifier
from tests.replication.running import Flow, running

BRISK = Pace(margin=0.1, patience=20.0, without_owner=0.0, look=0.02)
RULES = (FieldRule("Tags.owner", FieldAction.HASH), FieldRule("Note", FieldAction.DROP))
NewCopy = Callable[..., Flow]


def verify(flow: Flow, *, repair: bool = False) -> Verification:
    clients = flow.clients
    verifier = Verifier(
        flow.spec, clients["source"], clients["destination"], repair=repair, pace=BRISK
    )
    return verifier.verify_all()


@pytest.fixture
def new_copy(new_flow: Callable[..., Flow]) -> NewCopy:
    """Make a flow that has copied 200 documents and rests."""

    def build(**options: object) -> Flow:
        flow = new_flow(partition_fields=("Day",), **options)
        flow.source.insert_many(
            [
                {"_id": n, "Day": n % 7, "Note": "x", "Tags": {"owner": f"o{n}"}, "even": n % 2}
                for n in range(200)
            ]
        )
        with running(flow):
            flow.wait_until_consistent()
            flow.source.delete_one({"_id": 199})
            flow.source.update_one({"_id": 0}, {"$set": {"Day": 3}})
            flow.wait_for_events(2)
        flow.control("marks").delete_many({"flow": str(flow.id)})
        return flow

    return build


@pytest.mark.parametrize("mode", [WriteMode.AUTOMATIC, WriteMode.GUARDED])
def test_differences_are_found_and_repaired_in_every_mode(
    new_copy: NewCopy, mode: WriteMode
) -> None:
    flow = new_copy(write_mode=mode, rules=RULES, hash_key=b"k" * 16, filter='{"even": {"$ne": 1}}')
    assert verify(flow).differences == 0
    flow.copy.update_one({"_id": 10}, {"$set": {"Day": 70}})
    flow.copy.delete_one({"_id": 12})
    flow.copy.insert_one({"_id": 500, "Day": 71})
    found = verify(flow, repair=True)
    assert found.counts == {Kind.CHANGED: 1, Kind.MISSING: 1, Kind.EXTRA: 1}
    assert (found.repaired, found.refused) == (3, 0)
    assert verify(flow).differences == 0
    assert {mark["Day"] for mark in flow.partitions()} == {70, 10 % 7, 12 % 7, 71}


def test_a_guarded_flow_goes_on_from_what_was_repaired(new_copy: NewCopy) -> None:
    flow = new_copy(write_mode=WriteMode.GUARDED)
    flow.copy.update_one({"_id": 10}, {"$set": {"Day": 70}})
    flow.copy.delete_one({"_id": 12})
    assert verify(flow, repair=True).repaired == 2
    with running(flow):
        flow.source.update_many({"_id": {"$in": [10, 12]}}, {"$set": {"Day": 50}})
        flow.wait_for_events(4)
    assert verify(flow).differences == 0


def test_a_repaired_document_has_no_dead_letter_any_more(new_flow: Callable[..., Flow]) -> None:
    flow = new_flow()
    flow.copy.create_index("Name", unique=True)
    flow.source.insert_many([{"_id": n, "Name": "same"} for n in range(2)])
    with running(flow):
        flow.wait_until_consistent()
    letters = DeadLetters(control_database(flow.clients["destination"]))
    assert letters.count(flow.id) == 1
    assert verify(flow, repair=True).refused == 1
    flow.copy.drop_index("Name_1")
    assert verify(flow, repair=True).repaired == 1
    assert letters.count(flow.id) == 0
