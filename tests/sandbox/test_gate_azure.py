"""What Azure lacks is refused or hidden, and what it has passes; a switch turns this off."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from bson import DatetimeMS, Decimal128, Int64, Regex
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from sandbox.gate.wire import parse_request
from tests.conftest import GateFactory
from tests.sandbox.gate_running import RawClient, RunningGate, frame, message
from tests.waiting import wait_until

Document = dict[str, Any]
DATABASE = "gate_azure"
STREAM: Document = {"$changeStream": {}}


@pytest.fixture
def gate(gate_factory: GateFactory) -> RunningGate:
    return gate_factory()


@pytest.fixture
def client(gate: RunningGate) -> Iterator[MongoClient[Document]]:
    with gate.client() as client:
        yield client
        client.drop_database(DATABASE)


def aggregate(client: MongoClient[Document], *stages: Mapping[str, Any], on: object = "a") -> None:
    reply = client[DATABASE].command("aggregate", on, pipeline=list(stages), cursor={})
    client[DATABASE].command("killCursors", "a", cursors=[reply["cursor"]["id"]])


@pytest.mark.parametrize(
    ("stages", "target", "code", "named"),
    [
        ([STREAM], 1, 115, "whole database"),
        ([STREAM], True, 115, "whole database"),
        ([{"$changeStream": {"allChangesForCluster": True}}], 1, 115, "whole cluster"),
        ([{"$changeStream": {"fullDocumentBeforeChange": "required"}}], "a", 115, "BeforeChange"),
        ([{"$changeStream": {"showExpandedEvents": True}}], "a", 115, "showExpandedEvents"),
        ([{"$changeStream": {"splitLargeChangeStreamEvents": True}}], "a", 40415, "splitLarge"),
        ([{"$changeStream": 1}], "a", 9, "document of options"),
        ([{"$changeStream": {}, "$match": {}}], "a", 9, "document of options"),
        ([STREAM, {"$changeStreamSplitLargeEvent": {}}], "a", 40324, "SplitLargeEvent"),
        ([STREAM, {"$group": {"_id": 1}}], "a", 40324, "$group"),
        ([STREAM, {"$redact": "$$KEEP"}], "a", 40324, "$redact"),
        ([STREAM, {"$replaceRoot": {"newRoot": "$fullDocument"}}], "a", 40324, "$replaceRoot"),
        ([STREAM, {}], "a", 9, "exactly one"),
        ([STREAM, {"$match": {}, "$group": {"_id": 1}}], "a", 9, "exactly one"),
        ([STREAM, {"$match": {"$or": [{"$changeStream": 1}]}}], "a", 40602, "first stage"),
        ([{"$match": {}}, STREAM], "a", 40602, "first stage"),
        ([{"$facet": {"x": [STREAM]}}], "a", 40602, "first stage"),
        ([{"$unionWith": {"coll": "b", "pipeline": [STREAM]}}], "a", 40602, "first stage"),
    ],
    ids=str,
)
def test_a_change_stream_that_azure_lacks_is_refused(
    stages: Sequence[Mapping[str, Any]],
    target: object,
    code: int,
    named: str,
    gate: RunningGate,
    client: MongoClient[Document],
) -> None:
    with pytest.raises(OperationFailure, match=named.replace("$", r"\$")) as refused:
        aggregate(client, *stages, on=target)
    assert refused.value.code == code
    assert gate.statistics()["refused_other"] == 1
    assert gate.statistics()["change_streams_opened"] == 0


def test_whole_databases_and_clusters_are_refused_to_the_driver(
    client: MongoClient[Document],
) -> None:
    for source in (client[DATABASE], client):
        with pytest.raises(OperationFailure, match=r"whole (database|cluster)") as refused:
            source.watch()
        assert refused.value.code == 115


@pytest.mark.parametrize(
    "stage",
    [
        {"$match": {"operationType": {"$in": ["insert", "update"]}}},
        {"$project": {"fullDocument": 1}},
        {"$addFields": {"a": 1}},
        {"$set": {"a": "$documentKey"}},
        {"$unset": "wallTime"},
    ],
    ids=str,
)
def test_stages_and_options_that_azure_has_pass(
    stage: Document, gate: RunningGate, client: MongoClient[Document]
) -> None:
    options = {
        "fullDocument": "updateLookup",
        "fullDocumentBeforeChange": "off",
        "showExpandedEvents": False,
    }
    aggregate(client, {"$changeStream": options}, stage)
    assert gate.statistics()["change_streams_opened"] == 1


@pytest.mark.parametrize("enabled", [True, False])
def test_pre_images_cannot_be_switched(enabled: bool, client: MongoClient[Document]) -> None:
    images = {"enabled": enabled}
    with pytest.raises(OperationFailure, match="changeStreamPreAndPostImages"):
        client[DATABASE].create_collection("a", changeStreamPreAndPostImages=images)
    client[DATABASE].create_collection("a")
    with pytest.raises(OperationFailure, match="changeStreamPreAndPostImages") as refused:
        client[DATABASE].command("collMod", "a", changeStreamPreAndPostImages=images)
    assert refused.value.code == 115


def test_a_view_on_a_change_stream_and_its_explanation_are_refused(
    client: MongoClient[Document],
) -> None:
    with pytest.raises(OperationFailure, match="first stage"):
        client[DATABASE].command("create", "v", viewOn="a", pipeline=[STREAM])
    with pytest.raises(OperationFailure, match="cannot be explained"):
        client[DATABASE].command("explain", {"aggregate": "a", "pipeline": [STREAM]})


def first_update(client: MongoClient[Document], *stages: Mapping[str, Any]) -> Document:
    """The event of an update, read over another connection than the one that opened the stream."""
    collection = client[DATABASE]["a"]
    collection.insert_one({"_id": 1, "n": 1})
    with collection.watch(list(stages), max_await_time_ms=50) as stream:
        collection.update_one({"_id": 1}, {"$set": {"n": 2}})
        client.admin.command("ping")

        return wait_until(lambda: stream.try_next() or {}, what="the event of the update")


def test_an_update_does_not_say_what_changed(client: MongoClient[Document]) -> None:
    event = first_update(client)
    assert event["operationType"] == "update"
    assert set(event) >= {"_id", "documentKey", "ns", "clusterTime"}
    assert "updateDescription" not in event


def test_nor_to_the_streams_own_stages(client: MongoClient[Document]) -> None:
    assert "copy" not in first_update(client, {"$addFields": {"copy": "$updateDescription"}})


def test_a_resumed_stream_hides_it_in_its_first_batch_too(client: MongoClient[Document]) -> None:
    collection = client[DATABASE]["a"]
    collection.insert_one({"_id": 1})
    with collection.watch() as stream:
        token = stream.resume_token
    collection.update_one({"_id": 1}, {"$set": {"n": 2}})
    resumed = [{"$changeStream": {"resumeAfter": token}}]
    reply = client[DATABASE].command("aggregate", "a", pipeline=resumed, cursor={})
    (event,) = reply["cursor"]["firstBatch"]
    assert event["operationType"] == "update"
    assert "updateDescription" not in event


def test_the_switch_turns_it_all_off(gate_factory: GateFactory) -> None:
    gate = gate_factory(unrestricted=True)
    with gate.client() as client:
        assert first_update(client)["updateDescription"]["updatedFields"] == {"n": 2}
        client[DATABASE].command("collMod", "a", changeStreamPreAndPostImages={"enabled": True})
        with client[DATABASE].watch(show_expanded_events=True), client.watch():
            pass
        client.drop_database(DATABASE)
    assert gate.statistics()["change_streams_opened"] == 3
    assert gate.statistics()["refused_other"] == 0


def test_what_looks_like_a_change_stream_in_data_is_left_alone(
    client: MongoClient[Document],
) -> None:
    collection = client[DATABASE]["a"]
    collection.insert_one({"_id": "$changeStream", "changeStreamPreAndPostImages": 1})
    assert collection.find_one({"_id": "$changeStream"})
    text = list(collection.aggregate([{"$match": {"_id": "$changeStream"}}]))
    assert len(text) == 1


@pytest.mark.parametrize(
    "command",
    [
        b"\2aggregate\0\2\0\0\0a\0" + b"\2aggregate\0\2\0\0\0b\0",
        b"\2aggregate\0\2\0\0\0a\0" + b"\4pipeline\0\5\0\0\0\0" * 2,
    ],
)
def test_a_change_stream_with_a_key_twice_ends_the_connection(
    command: bytes, gate: RunningGate
) -> None:
    elements = command + b"\2c\0\x0e\0\0\0$changeStream\0" + b"\2$db\0\2\0\0\0d\0\0"
    document = (len(elements) + 4).to_bytes(4, "little") + elements
    with RawClient(gate.port) as raw:
        assert raw.sign_in(gate.issuer.mint())["ok"] == 1
        raw.send(frame(b"\0\0\0\0\0" + document))
        assert raw.receive() is None


def test_a_pipeline_outside_of_the_command_is_refused(gate: RunningGate) -> None:
    name, content = b"pipeline\0", message(STREAM)[21:]
    section = b"\1" + (len(name) + 4 + len(content)).to_bytes(4, "little") + name + content
    with RawClient(gate.port) as raw:
        assert raw.sign_in(gate.issuer.mint())["ok"] == 1
        raw.send(message({"aggregate": 1, "cursor": {}, "$db": DATABASE}, tail=section))
        answer = raw.receive()
    assert answer is not None
    assert answer["code"] == 9


def test_a_rewritten_command_keeps_every_type() -> None:
    values = {
        "a": Int64(1),
        "b": Decimal128("1.10"),
        "c": Regex("x", "i"),
        "d": DatetimeMS(2**60),
        "e": b"bytes",
        "f": [1, 2.0, None, True],
    }
    request = parse_request(message(values))
    assert request.with_document(request.document()) == message(values)
