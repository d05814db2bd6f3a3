"""The audit log leaves as a file, and by age; it never changes."""

import csv
import io
import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import audit
from accounts.levels import PermissionLevel
from accounts.models import AppendOnlyError, AuditEvent
from accounts.reasons import Reason
from accounts.tasks import prune_audit
from tests.people import sign_in_as

pytestmark = pytest.mark.django_db

FORMULA = '=HYPERLINK("http://evil.example";"x")'
LIST = "/admin/accounts/auditevent/"


def export(client: Client, kind: str, query: str = "") -> str:
    response = client.get(f"{LIST}export/{kind}/{query}")
    assert response.streaming
    return response.getvalue().decode()


@pytest.fixture
def admin(client: Client) -> None:
    sign_in_as(client, PermissionLevel.ADMIN)
    audit.log_auth_event(FORMULA, "an-oid", PermissionLevel.VIEWER)
    audit.log_auth_failure(Reason.TOKEN_NONCE)


@pytest.mark.usefixtures("admin")
def test_no_cell_of_the_csv_is_a_formula(client: Client) -> None:
    rows = list(csv.DictReader(io.StringIO(export(client, "csv"))))

    assert f"'{FORMULA}" in [row["user_name"] for row in rows]
    assert not [c for row in rows for c in row.values() if c.startswith(("=", "+", "-", "@"))]


@pytest.mark.usefixtures("admin")
def test_json_lines_hold_each_event_as_it_is(client: Client) -> None:
    events = [json.loads(line) for line in export(client, "jsonl").splitlines()]

    assert FORMULA in [event["user_name"] for event in events]
    assert {"token_nonce", ""} == {event["reason"] for event in events}
    assert all(event["at"].endswith("+00:00") for event in events)


@pytest.mark.usefixtures("admin")
def test_the_filters_of_the_list_hold(client: Client) -> None:
    for query in ("?kind__exact=sign_in_refused", "?q=nobody", "?reason__exact=token_nonce"):
        listed = client.get(f"{LIST}{query}").context["cl"].result_count
        exported = export(client, "jsonl", query).splitlines()
        assert len(exported) == listed


@pytest.mark.usefixtures("admin")
def test_an_export_is_an_event(client: Client) -> None:
    export(client, "csv", "?reason__exact=token_nonce")

    event = AuditEvent.objects.get(kind=AuditEvent.Kind.AUDIT_EXPORTED)
    assert (event.resource, event.details) == ("audit.csv", {"filters": ["reason__exact"]})
    assert client.get(f"{LIST}export/exe/").status_code == 404


def old_event(age: timedelta) -> None:
    event = AuditEvent(at=timezone.now() - age, kind=AuditEvent.Kind.SIGNED_IN)
    event.save(force_insert=True)


def test_events_leave_by_age_and_that_is_recorded(settings: Settings) -> None:
    settings.AUDIT_RETENTION_DAYS = 100
    for days in (99, 101, 400):
        old_event(timedelta(days=days))
    out = StringIO()

    call_command("prune_audit", stdout=out)

    assert "Removed 2 audit events" in out.getvalue()
    kinds = AuditEvent.objects.order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["signed_in", "audit_pruned"]
    assert AuditEvent.objects.latest("pk").details["events"] == 2


def test_the_worker_does_the_same_and_says_nothing_of_nothing() -> None:
    old_event(timedelta(days=401))
    prune_audit()
    prune_audit()

    assert AuditEvent.objects.values_list("kind", flat=True).get() == "audit_pruned"


@pytest.mark.parametrize("days", [0, -5, 29])
def test_recent_events_cannot_be_pruned(settings: Settings, days: int) -> None:
    settings.AUDIT_RETENTION_DAYS = days
    old_event(timedelta(days=20))

    with pytest.raises(CommandError, match="30 days at least"):
        call_command("prune_audit")
    assert AuditEvent.objects.count() == 1


def test_nothing_else_removes_or_changes_an_event() -> None:
    old_event(timedelta(days=500))

    with pytest.raises(AppendOnlyError):
        AuditEvent.objects.all().delete()
    with pytest.raises(AppendOnlyError):
        AuditEvent.objects.update(reason="")
