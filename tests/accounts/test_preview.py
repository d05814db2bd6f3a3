"""A preview tells exactly what the change then does."""

from datetime import date
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from accounts import mappings
from accounts.grants import derive
from accounts.levels import PermissionLevel
from accounts.mappings import Change, LastAdminMapping, MappingValues, create_mapping
from accounts.models import GroupMapping, User
from accounts.preview import Direction, describe, preview
from tests.people import new_person

pytestmark = pytest.mark.django_db

VIEWER, ANALYST, ADMIN = PermissionLevel
GROUPS = [UUID(int=number) for number in range(1, 6)]
values = st.builds(
    MappingValues,
    group_oid=st.sampled_from(GROUPS),
    level=st.sampled_from(PermissionLevel),
    scope=st.none() | st.sets(st.sampled_from("ab"), min_size=1).map(sorted).map(tuple),
    expires_on=st.none() | st.sampled_from([date(2020, 1, 1), date(2999, 1, 1)]),
)
rows = st.lists(values, unique_by=lambda one: one.group_oid, max_size=5)


def held_by(person: User) -> list[str]:
    return describe(derive(str(person.oid), person.group_oids, mappings.load()))


@settings(max_examples=60, deadline=None)
@given(stored=rows, wanted=rows, memberships=st.lists(st.sets(st.sampled_from(GROUPS)), max_size=4))
def test_a_preview_says_what_then_happens(
    stored: list[MappingValues], wanted: list[MappingValues], memberships: list[set[UUID]]
) -> None:
    with transaction.atomic():
        mappings.apply([Change(None, one) for one in stored])
        people = [new_person(None) for _ in memberships]
        for person, groups in zip(people, memberships, strict=True):
            person.group_oids = [str(oid) for oid in groups]
            person.save()
        known = {row.group_oid: row for row in GroupMapping.objects.all()}
        changes = [Change(known.get(one.group_oid), one) for one in wanted]
        changes += [
            Change(row, None)
            for oid, row in known.items()
            if oid not in {one.group_oid for one in wanted}
        ]
        before = {person.pk: held_by(person) for person in people}

        told = preview(changes)
        try:
            mappings.apply(changes)
        except LastAdminMapping:
            assert told.locks_out
        else:
            assert not told.locks_out
            after = {person.pk: held_by(person) for person in people}
            changed = {effect.person.pk: effect for effect in told.effects}
            assert set(changed) == {pk for pk in before if before[pk] != after[pk]}
            for pk, effect in changed.items():
                assert (effect.held, effect.would_hold) == (before[pk], after[pk])
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("level", "scope", "direction"),
    [
        (ADMIN, ("a",), Direction.GAINS),
        (VIEWER, ("a",), Direction.LOSES),
        (ANALYST, ("a", "b"), Direction.GAINS),
        (ANALYST, None, Direction.GAINS),
        (ADMIN, ("b",), Direction.CHANGES),
        (VIEWER, None, Direction.CHANGES),
    ],
)
def test_more_and_less_are_told_apart(
    level: PermissionLevel, scope: tuple[str, ...] | None, direction: Direction
) -> None:
    person = new_person(None)
    mapping = create_mapping(group_oid=GROUPS[0], level=ANALYST, scope=["a"])
    person.group_oids = [str(GROUPS[0])]
    person.save()

    (effect,) = preview([Change(mapping, MappingValues(GROUPS[0], level, scope=scope))]).effects
    assert effect.direction is direction


def test_losing_the_last_mapped_group_is_losing_access_where_one_is_required(
    settings: Settings,
) -> None:
    settings.ENTRA_REQUIRE_MAPPED_GROUP = True
    person = new_person(VIEWER)
    mapping = GroupMapping.objects.get()

    (effect,) = preview([Change(mapping, None)]).effects
    assert (effect.person, effect.would_hold) == (person, ["no access"])
    assert effect.direction is Direction.LOSES


def test_people_who_are_locked_out_are_not_counted() -> None:
    person = new_person(VIEWER)
    User.objects.filter(pk=person.pk).update(is_active=False, groups_fetched_at=timezone.now())

    assert preview([Change(GroupMapping.objects.get(), None)]).people == 0
