"""The rule that turns groups and mappings into grants, against a second, plainer one."""

import json
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from accounts import mappings as stored
from accounts.grants import Mappings, UserPermission, canonical_oid, derive, lowered
from accounts.levels import PermissionLevel
from accounts.mappings import LastAdminMapping, MappingValues, create_mapping, update_mapping
from accounts.models import GroupMapping
from accounts.scopes import ALL, NOTHING, Scope
from tests.people import new_person

VIEWER, ANALYST, ADMIN = PermissionLevel
levels = st.sampled_from(PermissionLevel)
oids = st.integers(1, 8).map(lambda n: str(UUID(int=n)))
ids = st.sets(st.sampled_from("abcd"), min_size=1)
rules = st.dictionaries(oids, st.tuples(levels, st.none() | ids), max_size=6)


def mappings_of(rules: dict[str, tuple[PermissionLevel, set[str] | None]]) -> Mappings:
    return Mappings(
        version=1,
        levels={oid: level for oid, (level, _) in rules.items()},
        scopes={oid: Scope.of(scope) for oid, (_, scope) in rules.items() if scope is not None},
        scopes_in_use=any(scope is not None for _, scope in rules.values()),
    )


@given(rules=rules, groups=st.sets(oids), required=levels)
def test_a_page_shows_the_union_of_the_grants_that_reach_it(
    rules: dict[str, tuple[PermissionLevel, set[str] | None]],
    groups: set[str],
    required: PermissionLevel,
) -> None:
    permission = derive("me", groups, mappings_of(rules))

    held = [rules[oid] for oid in groups if oid in rules]
    if not held:
        held = [(VIEWER, set() if any(s is not None for _, s in rules.values()) else None)]
    reaching = [scope for level, scope in held if level >= required]
    expected: set[str] | None = set()
    for scope in reaching:
        expected = None if scope is None or expected is None else expected | scope
    assert permission.permission_level == max(level for level, _ in held)
    assert permission.scope_for(required) == Scope.of(expected)
    assert bool(reaching) is permission.allows(required)


@given(rules=rules, groups=st.sets(oids))
def test_lowering_shows_no_row_more_and_reaches_viewer_only(
    rules: dict[str, tuple[PermissionLevel, set[str] | None]], groups: set[str]
) -> None:
    permission = derive("me", groups, mappings_of(rules))
    less = lowered(permission)

    assert less.permission_level is VIEWER
    assert less.scope_for(VIEWER) == permission.scope_for(VIEWER)
    assert less.scope_for(ANALYST) == NOTHING


@given(rules=rules, groups=st.sets(oids))
def test_a_permission_survives_the_session(
    rules: dict[str, tuple[PermissionLevel, set[str] | None]], groups: set[str]
) -> None:
    permission = derive("me", groups, mappings_of(rules))

    assert UserPermission.from_dict(json.loads(json.dumps(permission.to_dict()))) == permission


@pytest.mark.parametrize(
    "grants", [None, "all", [[1]], [[1, "a"]], [[1, [1]]], [[9, None]], [[True, None]], [None]]
)
def test_damaged_grants_are_refused(grants: object) -> None:
    data = {"user_oid": "me", "permission_level": 1, "group_oids": [], "grants": grants}

    with pytest.raises(ValueError, match="no stored permission"):
        UserPermission.from_dict(data)


def test_without_a_grant_there_is_no_row() -> None:
    assert UserPermission("me", ADMIN).scope_for(VIEWER) == NOTHING


@pytest.mark.parametrize(
    ("setting", "in_use", "expected"),
    [
        ([], False, ALL),
        ([], True, NOTHING),
        (["all"], True, ALL),
        (["none"], False, NOTHING),
        (["a", "b"], True, Scope(frozenset("ab"))),
    ],
)
def test_the_default_scope_is_a_setting(
    settings: Settings, setting: list[str], in_use: bool, expected: Scope
) -> None:
    settings.ENTRA_DEFAULT_SCOPE = setting

    permission = derive("me", [], Mappings(1, {}, scopes_in_use=in_use))
    assert permission.scope_for(VIEWER) == expected


@pytest.mark.parametrize("text", ["{%s}", " %s ", "%s"])
def test_an_object_id_has_one_spelling(text: str) -> None:
    oid = uuid4()
    assert canonical_oid(text % str(oid).upper()) == oid


@pytest.mark.parametrize("text", ["", "Admins", "{}", str(UUID(int=0))])
def test_what_is_no_object_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"object id|no group"):
        canonical_oid(text)


# --- expiry -----------------------------------------------------------------------------------

TODAY = date(2026, 11, 21)


@pytest.mark.parametrize(("expires_on", "counts"), [(0, False), (-1, False), (1, True)])
@pytest.mark.django_db
def test_an_expired_mapping_does_not_count(expires_on: int, counts: bool) -> None:
    oid = uuid4()
    create_mapping(group_oid=oid, level=ADMIN, expires_on=TODAY + timedelta(days=expires_on))

    known = stored.collect(GroupMapping.objects.all(), version=1, day=TODAY)
    assert (str(oid) in known.levels) is counts


@pytest.mark.django_db
def test_an_expired_scope_still_keeps_unmapped_people_from_all_rows() -> None:
    create_mapping(group_oid=uuid4(), level=VIEWER, scope=["a"], expires_on=date(2020, 1, 1))

    assert derive("me", [], stored.load()).scope_for(VIEWER) == NOTHING


@pytest.mark.django_db
def test_an_expiry_counts_at_the_next_request(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = new_person(None)
    create_mapping(group_oid=uuid4(), level=ADMIN)
    tomorrow = stored.today() + timedelta(days=1)
    group = create_mapping(group_oid=uuid4(), level=ADMIN, expires_on=tomorrow)
    person.group_oids = [str(group.group_oid)]
    person.save()
    client.force_login(person, backend="accounts.oidc.EntraBackend")
    assert client.get("/admin/").status_code == 200
    before = stored.current_version()

    monkeypatch.setattr(stored, "today", lambda: tomorrow)
    assert client.get("/admin/").status_code == 403
    assert stored.current_version() == before


@pytest.mark.django_db
def test_a_changed_setting_counts_at_the_next_request(client: Client, settings: Settings) -> None:
    client.force_login(new_person(None), backend="accounts.oidc.EntraBackend")
    assert client.get("/").status_code == 200
    assert client.session["user_permission"]["grants"] == [[1, None]]
    settings.ENTRA_DEFAULT_SCOPE = ["a"]
    client.get("/")
    assert client.session["user_permission"]["grants"] == [[1, ["a"]]]
    settings.ENTRA_REQUIRE_MAPPED_GROUP = True

    assert client.get("/").status_code == 403


# --- the last way in --------------------------------------------------------------------------


@pytest.fixture
def last(db: None) -> GroupMapping:
    create_mapping(group_oid=uuid4(), level=ADMIN, expires_on=date(2030, 1, 1))
    return create_mapping(group_oid=uuid4(), level=ADMIN)


@pytest.mark.parametrize(
    "change", [{"level": ANALYST}, {"expires_on": date(2030, 1, 1)}, None], ids=str
)
def test_the_last_admin_mapping_stays(last: GroupMapping, change: dict[str, object] | None) -> None:
    before = stored.current_version()
    values = MappingValues(**{"group_oid": last.group_oid, "level": ADMIN, **(change or {})})  # type: ignore[arg-type]

    with pytest.raises(LastAdminMapping, match="Map another group to ADMIN first"):
        stored.apply([stored.Change(last, values if change else None)], confirmed=True)
    assert (stored.current_version(), stored.load().levels[str(last.group_oid)]) == (before, ADMIN)


def test_it_goes_once_there_is_another(last: GroupMapping) -> None:
    create_mapping(group_oid=uuid4(), level=ADMIN)
    update_mapping(last, MappingValues(last.group_oid, VIEWER))

    assert stored.load().levels[str(last.group_oid)] is VIEWER


@pytest.mark.parametrize(("confirmed", "is_superuser"), [(True, True), (False, True)])
def test_the_break_glass_superuser_may_confirm(
    last: GroupMapping, confirmed: bool, is_superuser: bool
) -> None:
    actor = new_person(None)
    type(actor).objects.filter(pk=actor.pk).update(tid=None, oid=None)
    actor.refresh_from_db()
    actor.is_superuser = is_superuser
    actor.save()

    if confirmed:
        stored.delete_mappings([last], actor=actor, confirmed=True)
        assert not GroupMapping.objects.filter(pk=last.pk).exists()
    else:
        with pytest.raises(LastAdminMapping):
            stored.delete_mappings([last], actor=actor)


def test_a_scope_of_nothing_is_no_mapping(last: GroupMapping) -> None:
    with pytest.raises(ValueError, match="one sub account at least"):
        create_mapping(group_oid=uuid4(), level=VIEWER, scope=[])
