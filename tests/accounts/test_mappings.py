"""Mappings change together with their version and their audit event, or not at all."""

from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, transaction

from accounts.levels import PermissionLevel
from accounts.mappings import (
    MappingValues,
    create_mapping,
    current_version,
    delete_mappings,
    load,
    update_mapping,
)
from accounts.models import AuditEvent, GroupMapping
from tests.people import new_person

pytestmark = pytest.mark.django_db

GROUP = UUID("9d0c1a7e-51b2-4c8f-8a11-0f6f3f4f2a01")


def test_every_change_moves_the_version() -> None:
    versions = [current_version()]
    mapping = create_mapping(group_oid=GROUP, level=PermissionLevel.VIEWER)
    versions.append(current_version())
    update_mapping(mapping, MappingValues(GROUP, PermissionLevel.ANALYST, "Analysts"))
    versions.append(current_version())
    delete_mappings([mapping])
    versions.append(current_version())

    assert versions == sorted(set(versions))
    assert len(versions) == 4


def test_a_change_is_recorded_with_who_and_what() -> None:
    admin = new_person(None)
    mapping = create_mapping(group_oid=GROUP, level=PermissionLevel.VIEWER, actor=admin)
    values = MappingValues(GROUP, PermissionLevel.ADMIN, "Chiefs", note="asked for by Ben")
    update_mapping(mapping, values, actor=admin, why="ticket 12")

    event = AuditEvent.objects.get(kind=AuditEvent.Kind.MAPPING_CHANGED)
    assert event.user_oid == str(admin.oid)
    assert event.resource == f"group:{GROUP}"
    assert event.details["before"]["level"] == "VIEWER"
    assert event.details["after"]["level"] == "ADMIN"
    assert event.details["why"] == "ticket 12"
    first, second = mapping.history.order_by("pk")
    assert (first.history_user, first.level) == (admin, PermissionLevel.VIEWER)
    assert (second.history_change_reason, second.level) == ("ticket 12", PermissionLevel.ADMIN)


def test_a_change_that_fails_leaves_nothing_behind() -> None:
    create_mapping(group_oid=GROUP, level=PermissionLevel.VIEWER)
    before = (current_version(), AuditEvent.objects.count())

    with pytest.raises(IntegrityError), transaction.atomic():
        create_mapping(group_oid=GROUP, level=PermissionLevel.ADMIN)
    assert (current_version(), AuditEvent.objects.count()) == before


def test_a_change_that_is_rolled_back_moves_nothing() -> None:
    before = current_version()

    with transaction.atomic():
        create_mapping(group_oid=GROUP, level=PermissionLevel.VIEWER)
        transaction.set_rollback(True)
    assert current_version() == before
    assert not AuditEvent.objects.exists()


def test_many_are_deleted_at_once() -> None:
    for _number in range(3):
        create_mapping(group_oid=uuid4(), level=PermissionLevel.VIEWER)

    delete_mappings(GroupMapping.objects.all())

    assert load().levels == {}
    assert AuditEvent.objects.filter(kind=AuditEvent.Kind.MAPPING_DELETED).count() == 3


def test_what_is_loaded_is_canonical() -> None:
    create_mapping(group_oid=UUID(str(GROUP).upper()), level=PermissionLevel.ANALYST)

    mappings = load()

    assert mappings.levels == {str(GROUP): PermissionLevel.ANALYST}
    assert mappings.version == current_version()


def test_the_database_knows_three_levels() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        GroupMapping.objects.create(group_oid=GROUP, level=4)
