"""Servers go away and come back, history is lost, rights are missing: each has its answer."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from pymongo import MongoClient
from structlog.testing import capture_logs

from replication.spec import StreamSpec
from replication.worker import Outcome
from tests.conftest import GateFactory
from tests.replication.running import Document, Flow, Slice, raw, running
from tests.replication.servers import Server
from tests.waiting import wait_until


@pytest.fixture
def connect() -> Iterator[Callable[[str], MongoClient[Document]]]:
    with ExitStack() as stack:
        yield lambda uri: stack.enter_context(_impatient(uri))


def _impatient(uri: str) -> MongoClient[Document]:
    return MongoClient(uri, serverSelectionTimeoutMS=1000, serverMonitoringMode="poll")


def keep_running(flow: Flow, done: Callable[[], bool]) -> None:
    """Start slice after slice, as the supervisor does, until ``done``."""
    current = Slice(flow)

    def finished() -> bool:
        nonlocal current
        if not current.running:
            assert current.result().outcome is not Outcome.FAILED, current.result()
            current = Slice(flow)
        return done()

    try:
        wait_until(finished, timeout=40, what="the flow carries on")
    finally:
        current.stop()


@pytest.mark.parametrize("side", ["source", "destination"])
def test_a_server_that_is_killed_and_comes_back(
    mongo: MongoClient[Document],
    new_server: Callable[[], Server],
    connect: Callable[[str], MongoClient[Document]],
    side: str,
) -> None:
    server = new_server()
    mortal = connect(server.uri)
    flow = Flow(mortal, mongo) if side == "source" else Flow(mongo, mortal)
    flow.source.insert_many([{"_id": n} for n in range(100)])
    with running(flow) as slice_:
        flow.wait_until_consistent()
        flow.source.insert_many([{"_id": n} for n in range(100, 200)])
        server.kill()
        if side == "source":
            wait_until(lambda: (flow.lease() or {})["error"], what="the trouble is noted")
        else:
            wait_until(lambda: not slice_.running, what="a lease is lost without its server")
        server.start()
        flow.source.insert_many([{"_id": n} for n in range(200, 300)])
        if side == "source":
            flow.wait_for_events(200)
    keep_running(flow, lambda: flow.events() == 200)
    assert raw(flow.copy) == raw(flow.source)


@pytest.fixture
def pruned(
    forgetful_server: Server,
    mongo: MongoClient[Document],
    connect: Callable[[str], MongoClient[Document]],
) -> Callable[[bool], Flow]:
    """A flow whose source has forgotten the events after its position."""

    def build(snapshot_again: bool) -> Flow:
        source = connect(forgetful_server.uri)
        flow = Flow(source, mongo, partition_fields=("Day",), snapshot_again=snapshot_again)
        flow.source.insert_many([{"_id": n, "Day": n} for n in range(10)])
        with running(flow):
            flow.wait_until_consistent()
        flow.source.delete_one({"_id": 3})
        flow.source.update_one({"_id": 4}, {"$set": {"Day": 40}})
        noise = source["noise"]["rows"]
        for _ in range(12):
            noise.insert_many([{} for _ in range(1000)])
        return flow

    return build


def test_lost_history_is_answered_by_a_new_snapshot(pruned: Callable[[bool], Flow]) -> None:
    flow = pruned(True)
    flow.control("marks").delete_many({"flow": str(flow.id)})
    with running(flow):
        flow.wait_for_equal_sides()
        wait_until(lambda: flow.lease() and flow.consistent())
    position = flow.position()
    assert position is not None
    assert position.generation == 2
    assert {mark["Day"] for mark in flow.partitions()} == {3, 4, 40}


def test_lost_history_stops_a_flow_that_says_so(pruned: Callable[[bool], Flow]) -> None:
    flow = pruned(False)
    with running(flow) as slice_:
        result = slice_.result()
    assert result.outcome is Outcome.FAILED
    assert "History lost" in result.error


def test_another_destination_of_the_same_flow_gets_a_copy_of_its_own(
    flow: Flow, mongo: MongoClient[Document]
) -> None:
    flow.source.insert_many([{"_id": n} for n in range(5)])
    with running(flow):
        flow.wait_until_consistent()
    other = Flow(mongo, mongo, flow_id=flow.id)
    other.spec = _elsewhere(flow)
    mongo[other.spec.destination.database]["rows"].insert_one({"_id": "kept"})
    with running(other):
        wait_until(lambda: len(raw(other.copy)) == 6, what="the copy is there")
        other.wait_until_consistent()
    assert other.copy.find_one({"_id": "kept"})


def _elsewhere(flow: Flow) -> StreamSpec:
    return replace(
        flow.spec, destination=replace(flow.spec.destination, database=f"too-{flow.id.hex[:12]}")
    )


def test_a_destination_that_refuses_a_document_stops_the_flow_and_no_log_shows_it(
    mongo: MongoClient[Document],
) -> None:
    flow = Flow(mongo, mongo, dead_letters=False)
    with capture_logs() as logs, running(flow) as slice_:
        flow.wait_until_consistent()
        flow.copy.create_index("Name", unique=True)
        flow.source.insert_many([{"_id": n, "Name": "canary-51d2"} for n in range(2)])
        result = slice_.result()
    assert result.outcome is Outcome.FAILED
    assert "Poison" in result.error
    assert "11000" in result.error
    assert flow.events() == 0
    assert "slice_ended" in [entry["event"] for entry in logs]
    assert "canary" not in repr((logs, result))


def test_an_answer_that_is_too_long_for_the_driver_is_asked_for_in_parts(flow: Flow) -> None:
    with running(flow):
        flow.wait_until_consistent()
    # The embedded server sends all of them at once, and the driver takes no more than 48 MB.
    for number in range(6):
        flow.source.insert_one({"_id": number, "Text": "x" * 9_000_000})
    with running(flow), capture_logs() as logs:
        flow.wait_for_events(6)
    assert raw(flow.copy) == raw(flow.source)
    assert "ProtocolError" in {entry.get("error") for entry in logs}


def test_a_value_may_move_from_a_deleted_document_to_another(flow: Flow) -> None:
    flow.source.insert_one({"_id": 1, "Number": 7})
    with running(flow):
        flow.wait_until_consistent()
        flow.copy.create_index("Number", unique=True)
        flow.source.delete_one({"_id": 1})
        flow.source.insert_one({"_id": 2, "Number": 7})
        flow.wait_for_events(2)
        assert raw(flow.copy) == raw(flow.source)


def test_a_missing_right_is_told_after_one_try_with_new_clients(
    flow: Flow, gate_factory: GateFactory, connect: Callable[[str], MongoClient[Document]]
) -> None:
    flow.clients["source"] = connect(gate_factory().uri)  # without a sign-in: always 13
    with running(flow) as slice_:
        result = slice_.result()
    assert result.outcome is Outcome.FAILED
    assert "give the identity the right" in result.error
    assert flow.replaced == ["source", "destination"]


@pytest.mark.parametrize("code", [112, 11600, 189])
def test_passing_failures_of_writes_are_ridden_out(
    flow: Flow, mongo: MongoClient[Document], code: int
) -> None:
    with running(flow):
        flow.wait_until_consistent()
        mongo.admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": {"times": 2},
                "data": {
                    "failCommands": ["commitTransaction"],
                    "errorCode": code,
                    "errorLabels": ["TransientTransactionError"],
                },
            }
        )
        flow.source.insert_many([{"_id": n} for n in range(20)])
        flow.wait_for_events(20)
    assert raw(flow.copy) == raw(flow.source)
    assert flow.events() == 20


@pytest.mark.parametrize("times", [1, 2])
def test_a_transaction_that_a_refused_commit_left_open_holds_nobody_up(
    flow: Flow, mongo: MongoClient[Document], times: int
) -> None:
    with running(flow):
        flow.wait_until_consistent()
        mongo.admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": {"times": times},
                "data": {"failCommands": ["commitTransaction"], "errorCode": 18},
            }
        )
        flow.source.insert_many([{"_id": n} for n in range(20)])
        wait_until(lambda: flow.replaced, what="the refusal is met")
    # The second refusal in a row ends the slice, and the next one has to go on.
    with running(flow):
        flow.wait_for_events(20, timeout=10)
    assert raw(flow.copy) == raw(flow.source)


def test_an_answer_to_a_commit_that_was_lost_is_not_applied_twice(
    flow: Flow, mongo: MongoClient[Document]
) -> None:
    with running(flow):
        flow.wait_until_consistent()
        mongo.admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": {"times": 3},
                "data": {"failCommands": ["commitTransaction"], "closeConnection": True},
            }
        )
        flow.source.insert_many([{"_id": n} for n in range(20)])
        flow.wait_for_events(20)
    assert flow.events() == 20
    assert raw(flow.copy) == raw(flow.source)
