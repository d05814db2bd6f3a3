"""What administrators ask of a flow in the admin, and what they see before and after."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import bson
import pytest
from bson import Binary, ObjectId
from django.test import Client
from django.urls import reverse
from pymongo import MongoClient

from accounts.levels import PermissionLevel
from replication.dead_letters import DEAD_LETTERS, DeadLetters
from replication.flow_panel import sparkline
from replication.models import Flow as FlowRow
from replication.mongo import close_clients
from replication.position import control_database
from tests.people import sign_in_as
from tests.replication.rows import row_of
from tests.replication.running import Document, Flow, running

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    sign_in_as(client, PermissionLevel.ADMIN)
    return client


@pytest.fixture
def flow(mongo: MongoClient[Document]) -> Flow:
    return Flow(mongo, mongo)


@pytest.fixture
def row(flow: Flow, mongo_server: str) -> Iterator[FlowRow]:
    yield row_of(flow, mongo_server)
    close_clients()


def url(name: str, row: FlowRow) -> str:
    return reverse(f"admin:replication_flow_{name}", args=[row.pk])


def shown(admin: Client, address: str) -> str:
    answer = admin.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_flows_page_shows_how_it_is_going(admin: Client, row: FlowRow, flow: Flow) -> None:
    flow.source.insert_many([{"_id": n} for n in range(7)])
    with running(flow):
        flow.wait_until_consistent()
        page = shown(admin, url("change", row))
    assert "Streaming" in page
    assert "consistent since" in page
    assert "7 of 7" in page
    assert "Exactly once" in page
    assert "before the source forgets" in page or "the source does not tell" in page


def test_a_new_snapshot_is_asked_for_after_a_question(admin: Client, row: FlowRow) -> None:
    assert "read again" in shown(admin, url("snapshot", row))
    assert FlowRow.objects.get().snapshots_asked == 0
    assert admin.post(url("snapshot", row)).status_code == 302
    assert FlowRow.objects.get().snapshots_asked == 1


@pytest.mark.parametrize(("typed", "asked"), [("", 0), ("Costs", 0), ("costs", 1), (" costs ", 1)])
def test_changes_are_left_out_only_when_the_flows_name_is_typed(
    admin: Client, row: FlowRow, typed: str, asked: int
) -> None:
    answer = admin.post(url("skip", row), {"name": typed})
    assert FlowRow.objects.get().skips_asked == asked
    assert ("Nothing was done" in answer.content.decode()) is (asked == 0)


def plant(row: FlowRow, mongo: MongoClient[Document], document_id: object) -> ObjectId:
    letters = control_database(mongo)[DEAD_LETTERS]
    planted = letters.insert_one(
        {
            "flow": str(row.id),
            "stream": row.key_of("rows"),
            "key": Binary(bson.encode({"_id": document_id})),
            "operation": "write",
            "code": 11000,
            "reason": "A unique index has another document.",
            "at": datetime.now(UTC),
            "attempts": 2,
            "retry": False,
        }
    )
    return ObjectId(planted.inserted_id)


def test_dead_letters_are_tried_again_or_discarded(
    admin: Client, row: FlowRow, mongo: MongoClient[Document]
) -> None:
    first, second = plant(row, mongo, "<b>one</b>"), plant(row, mongo, {"a": 1})
    page = shown(admin, url("letters", row))
    assert "refused 2 documents" in page
    assert "A unique index" in page
    assert "<b>one</b>" not in page
    assert "&lt;b&gt;one&lt;/b&gt;" in page
    admin.post(url("letters", row), {"action": "retry", "letter": [str(first)]})
    admin.post(url("letters", row), {"action": "discard", "letter": [str(second)]})
    (left,) = DeadLetters(control_database(mongo)).of_flow(row.id, 10)
    assert (left.id, left.retry) == (first, True)
    assert "is tried again soon" in shown(admin, url("letters", row))


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"action": "retry"}, "Choose at least one"),
        ({"action": "retry", "letter": ["nonsense"]}, "choose again"),
        ({"letter": ["0" * 24]}, "Choose what to do"),
    ],
    ids=["nothing chosen", "no id", "no action"],
)
def test_a_request_that_means_nothing_does_nothing(
    admin: Client, row: FlowRow, mongo: MongoClient[Document], form: dict[str, object], told: str
) -> None:
    plant(row, mongo, 1)
    answer = admin.post(url("letters", row), form, follow=True)
    assert told in answer.content.decode()
    assert DeadLetters(control_database(mongo)).count(row.id) == 1


def test_letters_of_another_flow_are_left_alone(
    admin: Client, row: FlowRow, mongo: MongoClient[Document]
) -> None:
    other = control_database(mongo)[DEAD_LETTERS].insert_one({"flow": "another"}).inserted_id
    admin.post(url("letters", row), {"action": "discard", "letter": [str(other)]})
    assert control_database(mongo)[DEAD_LETTERS].delete_one({"_id": other}).deleted_count == 1


def test_pages_of_a_dead_destination_say_so(admin: Client, row: FlowRow) -> None:
    row.destination.uri = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=300"
    row.destination.save()
    close_clients()
    assert "The destination" in shown(admin, url("change", row))
    assert "does not answer" in shown(admin, url("letters", row))
    answer = admin.post(url("letters", row), {"action": "retry", "letter": ["0" * 24]}, follow=True)
    assert "does not answer" in answer.content.decode()


@pytest.mark.parametrize("name", ["snapshot", "skip", "letters"])
def test_analysts_steer_nothing(client: Client, row: FlowRow, name: str) -> None:
    sign_in_as(client, PermissionLevel.ANALYST)
    assert client.get(url(name, row)).status_code in (302, 403)
    assert client.post(url(name, row)).status_code in (302, 403)
    assert FlowRow.objects.get().snapshots_asked == 0


def test_a_connection_is_tested_step_by_step(admin: Client, row: FlowRow, flow: Flow) -> None:
    flow.source.insert_one({"_id": 1})
    address = reverse("admin:replication_connection_test", args=[row.destination_id])
    assert "Test now" in shown(admin, address)
    page = admin.post(address, {"write": "on"}).content.decode()
    for step in ("configuration", "sign-in", "ping", "write"):
        assert step in page
    assert "failed" not in page


def test_a_connection_that_fails_says_what_to_do(
    admin: Client, row: FlowRow, tmp_path: Path
) -> None:
    row.source.uri = "mongodb://127.0.0.1:9/"
    row.source.save()
    address = reverse("admin:replication_connection_test", args=[row.source_id])
    page = admin.post(address).content.decode()
    assert "failed" in page
    assert "<b>" in page
    assert "Traceback" not in page


def test_a_sparkline_stands_on_zero() -> None:
    assert sparkline([0, 0]) == "0.0,23.0 120.0,23.0"
    assert sparkline([0, 10, 5]) == "0.0,23.0 60.0,1.0 120.0,12.0"
    assert sparkline([]) == ""
