"""What the database itself refuses."""

import pytest
from django.conf import settings
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import AppendOnlyError, AuditEvent, User
from tests.people import new_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def event() -> AuditEvent:
    return AuditEvent.objects.create(at=timezone.now(), kind=AuditEvent.Kind.SIGNED_IN)


def test_an_audit_event_is_not_changed(event: AuditEvent) -> None:
    event.reason = "another"
    with pytest.raises(AppendOnlyError):
        event.save()
    with pytest.raises(AppendOnlyError):
        AuditEvent.objects.update(reason="another")


def test_an_audit_event_is_not_deleted(event: AuditEvent) -> None:
    with pytest.raises(AppendOnlyError):
        event.delete()
    with pytest.raises(AppendOnlyError):
        AuditEvent.objects.all().delete()


def test_not_even_by_sql(event: AuditEvent) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_auditevent SET reason = 'another'")
    event.refresh_from_db()
    assert event.reason == ""


def test_one_person_has_one_row() -> None:
    ada = new_person(None)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(username="another", tid=ada.tid, oid=ada.oid)


def test_half_an_identity_is_none() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(username="half", tid=settings.ENTRA_TENANT_ID)


@pytest.mark.parametrize("flag", ["is_superuser", "is_staff"])
def test_nobody_of_entra_becomes_a_superuser(flag: str) -> None:
    ada = new_person(None)
    setattr(ada, flag, True)
    with pytest.raises(IntegrityError), transaction.atomic():
        ada.save()


def test_a_person_is_called_by_what_is_known() -> None:
    assert new_person(None, name="Ada Lindgren").get_short_name() == "Ada Lindgren"
    assert User(username="x", email="x@nordwind.example").get_full_name() == "x@nordwind.example"
    assert str(User(username="root")) == "root"
