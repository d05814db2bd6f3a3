"""Correctness properties 8 to 12 of the requirement: permissions."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from hypothesis import given
from hypothesis import strategies as st

from accounts.graph import GraphError, GraphUserGone, Membership
from accounts.guard import has_permission
from accounts.levels import PermissionLevel
from accounts.mappings import Mappings
from accounts.permissions import PermissionService, UserPermission
from accounts.reasons import Refused

levels = st.sampled_from(PermissionLevel)
# Few enough that mapped groups and a person's groups meet.
group_oids = st.integers(0, 12).map(lambda n: f"9d0c1a7e-51b2-4c8f-8a11-{n:012x}")
mappings = st.dictionaries(group_oids, levels, max_size=8)
permissions = st.builds(
    UserPermission,
    user_oid=st.uuids().map(str),
    permission_level=levels,
    group_oids=st.lists(group_oids, max_size=6).map(tuple),
)


class NoGraph:
    def __init__(self, answer: Membership | GraphError | None = None) -> None:
        self.answer = answer

    def membership(self, user_oid: str) -> Membership:
        if isinstance(self.answer, Membership):
            return self.answer
        raise self.answer or AssertionError("Graph was asked")


def service(
    levels: dict[str, PermissionLevel] | None = None,
    graph: NoGraph | None = None,
    session: SessionBase | None = None,
) -> PermissionService:
    return PermissionService(
        graph=graph or NoGraph(),
        session=session if session is not None else SessionBase(),
        mappings=Mappings(1, levels or {}),
    )


@given(permission=permissions)
def test_permission_data_round_trip(permission: UserPermission) -> None:
    """Feature: entraid-authentication, Property 8: Permission Data Round-Trip."""
    stored = json.loads(json.dumps(permission.to_dict()))

    assert UserPermission.from_dict(stored) == permission


@given(mappings=mappings, groups=st.lists(group_oids))
def test_group_to_permission_mapping(
    mappings: dict[str, PermissionLevel], groups: list[str]
) -> None:
    """Feature: entraid-authentication, Property 9: Group to Permission Mapping."""
    expected = max(
        (level for oid, level in mappings.items() if oid in groups),
        default=PermissionLevel.VIEWER,
    )

    assert service(mappings).map_groups_to_permission(groups) is expected
    assert service(mappings).map_groups_to_permission([g.upper() for g in groups]) is expected


@given(levels=st.lists(levels))
def test_highest_permission_resolution(levels: list[PermissionLevel]) -> None:
    """Feature: entraid-authentication, Property 10: Highest Permission Resolution."""
    highest = PermissionService.resolve_highest_permission(levels)

    assert highest is (max(levels) if levels else PermissionLevel.VIEWER)


@given(permission=permissions)
def test_permission_caching(permission: UserPermission) -> None:
    """Feature: entraid-authentication, Property 11: Permission Caching."""
    session = SessionBase()
    service(session=session).cache_permission(permission)
    stored = SessionBase()
    stored.update(session.decode(session.encode(dict(session.items()))))

    assert service(session=stored).get_cached_permission() == permission


@given(held=st.none() | permissions, required=levels)
def test_permission_level_check(held: UserPermission | None, required: PermissionLevel) -> None:
    """Feature: entraid-authentication, Property 12: Permission Level Check."""
    request = cast(HttpRequest, SimpleNamespace(permission=held))

    assert has_permission(request, required) is (
        held is not None and held.permission_level >= required
    )


@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_anything_else_is_no_permission(data: Any) -> None:
    session = SessionBase()
    session["user_permission"] = data
    if data is None:
        assert service(session=session).get_cached_permission() is None
    else:
        with pytest.raises(Refused, match="session_damaged"):
            service(session=session).get_cached_permission()


@given(mappings=mappings, groups=st.lists(group_oids, unique=True))
def test_a_determined_permission_names_the_groups_that_matter(
    mappings: dict[str, PermissionLevel], groups: list[str]
) -> None:
    graph = NoGraph(Membership(tuple(groups)))

    permission = service(mappings, graph).determine_user_permission("an-oid")

    assert set(permission.group_oids) == set(groups) & set(mappings)


def test_a_graph_that_fails_makes_a_viewer() -> None:
    permission = service(graph=NoGraph(GraphError())).determine_user_permission("an-oid")

    assert permission == UserPermission("an-oid", PermissionLevel.VIEWER)


def test_a_disabled_account_is_refused() -> None:
    graph = NoGraph(Membership((), enabled=False))

    with pytest.raises(Refused, match="account_disabled"):
        service(graph=graph).determine_user_permission("an-oid")


def test_a_person_who_is_gone_is_refused() -> None:
    with pytest.raises(Refused, match="account_gone"):
        service(graph=NoGraph(GraphUserGone())).determine_user_permission("an-oid")
