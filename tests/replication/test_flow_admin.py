"""Administrators watch flows, pause and resume them, and see what is wrong with a connection."""

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import reverse
from pymongo import MongoClient

from accounts.levels import PermissionLevel
from replication.models import Flow as FlowRow
from replication.mongo import close_clients
from replication.spec import StreamId
from replication.steering import note_failure
from tests.people import sign_in_as
from tests.replication.rows import row_of
from tests.replication.running import Document, Flow, running

pytestmark = pytest.mark.django_db
FLOWS = "admin:replication_flow_changelist"


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


def act(admin: Client, action: str, row: FlowRow) -> None:
    answer = admin.post(reverse(FLOWS), {"action": action, "_selected_action": [row.pk]})
    assert answer.status_code == 302


def test_the_list_shows_how_flows_are_going(admin: Client, row: FlowRow, flow: Flow) -> None:
    flow.source.insert_many([{"_id": n} for n in range(7)])
    with running(flow):
        flow.wait_until_consistent()
        page = admin.get(reverse(FLOWS)).content.decode()
    for shown in ("costs", "streaming", "7 of 7"):
        assert shown in page
    note_failure(StreamId(row.id, "rows"), "Poison: 121")
    assert "Poison: 121" in admin.get(reverse(FLOWS)).content.decode()


def test_pause_and_resume(admin: Client, row: FlowRow) -> None:
    act(admin, "pause", row)
    assert not FlowRow.objects.get().enabled
    note_failure(StreamId(row.id, "rows"), "Poison: 121")
    act(admin, "resume", row)
    resumed = FlowRow.objects.get()
    assert (resumed.enabled, resumed.failures.count()) == (True, 0)


def test_a_connections_form_shows_every_problem(admin: Client) -> None:
    answer = admin.post(
        reverse("admin:replication_connection_add"),
        {
            "name": "bad",
            "uri": "mongodb://me:pw@evil.example/",
            "auth_method": "entra",
            "tenant_id": "contoso",
        },
    )
    page = answer.content.decode()
    for problem in ("expected a GUID", "holds a password", "may not be sent", "TLS off"):
        assert problem in page


def test_a_flows_form_shows_its_state_and_forgets_its_error_when_saved(
    admin: Client, row: FlowRow
) -> None:
    note_failure(StreamId(row.id, "rows"), "Poison: 121")
    url = reverse("admin:replication_flow_change", args=[row.pk])
    assert "Poison: 121" in admin.get(url).content.decode()
    form = {
        "name": "costs",
        "enabled": "on",
        "source": row.source_id,
        "source_database": row.source_database,
        "collection": "rows",
        "destination": row.destination_id,
        "destination_database": row.destination_database,
        "destination_collection": "rows",
        "partition_fields": '["Day"]',
        "on_history_lost": "stop",
        "on_poison": "stop",
        "write_mode": "automatic",
    }
    assert admin.post(url, form).status_code == 302
    saved = FlowRow.objects.get()
    assert (saved.partition_fields, saved.on_history_lost) == (["Day"], "stop")
    assert not saved.failures.exists()
