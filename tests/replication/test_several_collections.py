"""A flow of several collections: which there are, how they are going, and each on its own."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from bson import Binary
from django.core.management import call_command
from pymongo import MongoClient
from pymongo.database import Database

from replication.foreground import End, ForegroundFlow
from replication.lease import Leases
from replication.models import Connection, Flow
from replication.mongo import close_clients
from replication.position import MongoTracker, Phase, control_database
from replication.roster import Roster
from replication.spec import StreamId
from replication.status import (
    FlowState,
    FlowStatus,
    SeveralCollections,
    destination_of,
    flow_status,
    source_of,
)
from replication.steering import note_failure, pause, resume, skip_to_now, snapshot_again
from replication.waiting import waiting_streams
from tests.conftest import free_port
from tests.replication.rows import new_connection
from tests.replication.running import Document
from tests.waiting import wait_until

# Other threads look at the rows too.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def source(mongo: MongoClient[Document]) -> Database[Document]:
    return mongo[f"from-{uuid4().hex[:12]}"]


@pytest.fixture
def copies(mongo: MongoClient[Document], source: Database[Document]) -> Database[Document]:
    return mongo[source.name.replace("from", "to")]


@pytest.fixture
def new_row(mongo_server: str, source: Database[Document]) -> Iterator[Callable[..., Flow]]:
    """Make rows of flows between two databases of one server."""
    here, there = new_connection("source", mongo_server), new_connection("there", mongo_server)

    def make(collection: str, **fields: Any) -> Flow:
        values = {
            "name": "many",
            "source": here,
            "source_database": source.name,
            "collection": collection,
            "destination": there,
            "destination_database": source.name.replace("from", "to"),
            "destination_collection": "eu_{collection}",
        }
        return Flow.objects.create(**{**values, **fields})

    yield make
    close_clients()


def waiting() -> set[str]:
    return {stream.collection for stream in waiting_streams(Roster.read())}


def fill(database: Database[Document], *names: str) -> None:
    for name in names:
        database[name].insert_many([{"_id": number, "in": name} for number in range(3)])


def documents(database: Database[Document]) -> dict[str, int]:
    return {name: database[name].count_documents({}) for name in database.list_collection_names()}


def test_named_collections_are_streams_before_they_exist(new_row: Callable[..., Flow]) -> None:
    new_row("rows, days")
    assert waiting() == {"rows", "days"}


def test_patterns_find_what_is_there_and_what_comes(
    new_row: Callable[..., Flow], source: Database[Document]
) -> None:
    fill(source, "costs_a", "costs_b", "other")
    source.create_collection("costs_view", viewOn="costs_a", pipeline=[])
    new_row("costs_*, rows")
    assert waiting() == {"costs_a", "costs_b", "rows"}
    fill(source, "costs_c")
    assert waiting() == {"costs_a", "costs_b", "costs_c", "rows"}


def test_only_streams_that_nobody_works_on_wait(
    new_row: Callable[..., Flow], source: Database[Document], mongo: MongoClient[Document]
) -> None:
    fill(source, "costs_a", "costs_b", "costs_c")
    row = new_row("costs_*")
    leases = Leases(control_database(mongo), lifetime=timedelta(seconds=30))
    leases.acquire(row.key_of("costs_a"), row.id, session=Binary(b"x" * 16, 4), seed=0)
    note_failure(StreamId(row.id, "costs_b"), "Poison: 121")
    assert waiting() == {"costs_c"}
    resume(Flow.objects.all())
    assert waiting() == {"costs_b", "costs_c"}


def test_a_collection_with_a_position_stays_a_stream(
    new_row: Callable[..., Flow], source: Database[Document], mongo: MongoClient[Document]
) -> None:
    row = new_row("costs_*")
    tracker = MongoTracker(control_database(mongo))
    for name in ("costs_gone", "costs_b.c", "left_the_scope"):
        tracker.ensure(row.key_of(name), row.id)
    fill(source, "costs_a")
    assert waiting() == {"costs_a", "costs_gone", "costs_b.c"}
    row.source.uri = f"mongodb://127.0.0.1:{free_port()}/"
    row.source.save()
    assert waiting() == {"costs_gone", "costs_b.c"}


def seen() -> FlowStatus:
    return flow_status("many")


def test_a_flow_is_the_sum_of_its_collections(
    new_row: Callable[..., Flow], mongo: MongoClient[Document]
) -> None:
    row = new_row("costs_*")
    assert seen().state is FlowState.WAITING
    control = control_database(mongo)
    tracker, now = MongoTracker(control), datetime.now(UTC)
    early, late = now - timedelta(minutes=9), now - timedelta(minutes=4)
    for name, moment, phase in (("a", early, Phase.STREAM), ("b", late, Phase.SNAPSHOT)):
        position = tracker.ensure(row.key_of(f"costs_{name}"), row.id)
        tracker.advance(
            position,
            {
                "phase": phase,
                "events": 20,
                "position_at": moment,
                "last_event_at": moment,
                "consistent_since": moment,
                "snapshot_copied": 10,
                "snapshot_total": 50,
                "snapshot_began_at": now - timedelta(minutes=1),
            },
        )
    part = {"flow": str(row.id), "stream": row.key_of("costs_b"), "collection": "costs_b"}
    limits: Document = {"lower": None, "upper": None, "brackets": []}
    control["parts"].insert_one(
        {**part, **limits, "number": 0, "copied": 10, "rate": 10 / 60, "moved_at": now}
    )
    status = seen()
    assert [stream.collection for stream in status.streams] == ["costs_a", "costs_b"]
    assert str(status.destination).endswith(".eu_costs_*")
    assert str(status.streams[0].destination).endswith(".eu_costs_a")
    assert (status.events, status.snapshot_copied, status.snapshot_total) == (40, 20, 100)
    assert (status.position_at, status.consistent_since) == (_stored(early), _stored(late))
    assert 540 <= (status.lag_seconds or 0) < 560
    assert status.copying
    assert status.snapshot_left is not None
    assert timedelta(minutes=4) <= status.snapshot_left < timedelta(minutes=5)
    tracker.ensure(row.key_of("costs_new"), row.id)
    assert (seen().consistent_since, seen().position_at) == (None, None)


def _stored(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def test_one_failed_collection_is_named_and_counted(new_row: Callable[..., Flow]) -> None:
    row = new_row("rows, days")
    note_failure(StreamId(row.id, "days"), "Poison: 121")
    note_failure(StreamId(row.id, "days"), "Poison: 11000")
    status = seen()
    assert (status.state, status.failed) == (FlowState.FAILED, 1)
    assert status.error == "1 of 2 collections have failed; days: Poison: 11000"
    assert waiting() == {"rows"}


@pytest.mark.parametrize(
    ("ask", "counter"), [(snapshot_again, "snapshots_asked"), (skip_to_now, "skips_asked")]
)
def test_what_administrators_ask_for_reaches_every_stream(
    new_row: Callable[..., Flow], ask: Callable[..., int], counter: str
) -> None:
    row = new_row("rows, days")
    note_failure(StreamId(row.id, "days"), "History lost: 286")
    assert ask(Flow.objects.all()) == 1
    row.refresh_from_db()
    assert [getattr(row.stream(name), counter) for name in row.scope.names] == [1, 1]
    assert waiting() == {"rows", "days"}


def test_a_failure_of_a_flow_that_was_removed_is_nobody_s() -> None:
    note_failure(StreamId(uuid4(), "rows"), "Poison: 121")


def test_the_one_collection_of_a_flow_is_told_without_a_look(new_row: Callable[..., Flow]) -> None:
    row = new_row("rows")
    Connection.objects.update(uri=f"mongodb://127.0.0.1:{free_port()}/")
    assert source_of("many") == row.source_of("rows")
    assert str(destination_of("many")).endswith(".eu_rows")
    new_row("costs_*", name="more")
    for ask in (source_of, destination_of):
        with pytest.raises(SeveralCollections, match=r"'more' copies several .*costs_\*"):
            ask("more")


def told(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("flows", "status", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_the_status_of_all_flows_is_told(
    new_row: Callable[..., Flow], mongo: MongoClient[Document]
) -> None:
    assert told() == (0, "There is no flow yet.\n")
    row = new_row("rows, days")
    tracker, now = MongoTracker(control_database(mongo)), datetime.now(UTC)
    moved = {"phase": Phase.STREAM, "events": 1200, "position_at": now, "skipped_at": now}
    tracker.advance(
        tracker.ensure(row.key_of("rows"), row.id), {**moved, "guarantee": "exactly once"}
    )
    tracker.advance(tracker.ensure(row.key_of("days"), row.id), {**moved, "guarantee": "guarded"})
    code, text = told()
    assert code == 0
    assert text.startswith("many · waiting · 2 collections · 2,400 events · lag ")
    assert f"changes left out at {now:%Y-%m-%d %H:%M} UTC · guarded · history left: " in text
    note_failure(StreamId(row.id, "days"), "Poison: 121")
    code, text = told()
    assert code == 1
    assert text.endswith("\n  stuck: many, days: failed: Poison: 121\n")
    code, text = told("--json")
    (flow,) = json.loads(text)
    assert flow["history_left_seconds"] is None or flow["history_left_seconds"] > 0
    assert (code, flow["stuck"]) == (1, [{"collection": "days", "reason": "failed: Poison: 121"}])
    assert [each["events"] for each in flow["collections"]] == [1200, 1200]


def verified(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("verify_flow", "many", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_all_collections_run_and_are_verified(
    new_row: Callable[..., Flow], source: Database[Document], copies: Database[Document]
) -> None:
    fill(source, "costs_a", "costs_b", "other")
    new_row("costs_*")
    flow = ForegroundFlow("many", lease=timedelta(seconds=8), wait=False)
    flow.start()
    try:
        wait_until(lambda: documents(copies) == {"eu_costs_a": 3, "eu_costs_b": 3})
        fill(source, "costs_c")
        wait_until(lambda: documents(copies).get("eu_costs_c") == 3, what="the new one is copied")
        wait_until(lambda: seen().state is FlowState.STREAMING and not seen().copying)
    finally:
        flow.stop()
        flow.join()
    assert (flow.end, flow.error) == (End.STOPPED, "")
    pause(Flow.objects.all())  # verification need not wait for anybody
    code, told = verified()
    assert code == 0
    assert told.endswith("many: 3 collections, all equal.\n")
    copies["eu_costs_b"].delete_one({"_id": 1})
    code, told = verified("--json")
    found = json.loads(told)
    assert (code, found["equal"], len(found["collections"])) == (1, False, 3)
    assert [one["missing"] for one in found["collections"]] == [0, 1, 0]
    code, told = verified("--repair")
    assert code == 0
    assert "many, costs_b: 3 documents" in told


def test_a_failed_collection_does_not_stop_the_others_in_the_foreground(
    new_row: Callable[..., Flow], source: Database[Document], copies: Database[Document]
) -> None:
    fill(source, "rows", "days")
    row = new_row("rows, days")
    note_failure(StreamId(row.id, "days"), "Poison: 121")
    flow = ForegroundFlow("many", lease=timedelta(seconds=8), wait=False)
    flow.start()
    try:
        wait_until(lambda: documents(copies) == {"eu_rows": 3})
        resume(Flow.objects.all())
        wait_until(lambda: documents(copies) == {"eu_rows": 3, "eu_days": 3})
    finally:
        flow.stop()
        flow.join()


def test_a_flow_whose_collections_have_all_failed_ends(new_row: Callable[..., Flow]) -> None:
    row = new_row("rows, days")
    for name in ("rows", "days"):
        note_failure(StreamId(row.id, name), "Poison: 121")
    flow = ForegroundFlow("many", lease=timedelta(seconds=8), wait=False)
    flow.start()
    flow.join()
    assert flow.end is End.FAILED
