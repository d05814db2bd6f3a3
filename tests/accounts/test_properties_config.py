"""Correctness properties 1 to 4 of the requirement: configuration."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.config import AuthConfig, ConfigurationError, build_metadata_url
from accounts.levels import PermissionLevel

FIELDS = ["client_id", "client_secret", "redirect_uri", "cookie_secret", "server_metadata_url"]
texts = st.text(min_size=1, max_size=60).filter(str.strip)
guids = st.uuids().map(str)
levels = st.sampled_from(["admin", "analyst", "viewer", "ADMIN", "Analyst", 1, 2, 3])


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "client_id": draw(guids),
        "client_secret": draw(texts),
        "redirect_uri": draw(texts),
        "cookie_secret": draw(texts),
        "server_metadata_url": build_metadata_url(draw(guids)),
        "group_mappings": draw(st.dictionaries(guids, levels, max_size=8)),
    }


@given(table=tables(), nested=st.booleans())
def test_configuration_loading_completeness(table: dict[str, Any], nested: bool) -> None:
    """Feature: entraid-authentication, Property 1: Configuration Loading Completeness."""
    config = AuthConfig.from_secrets({"auth": table} if nested else table)

    assert {name: getattr(config, name) for name in FIELDS} == {n: table[n] for n in FIELDS}
    assert config.tenant_id in table["server_metadata_url"]


@given(
    table=tables(),
    missing=st.sets(st.sampled_from(FIELDS), min_size=1),
    how=st.sampled_from(["absent", "empty", None]),
)
def test_missing_configuration_detection(
    table: dict[str, Any], missing: set[str], how: str | None
) -> None:
    """Feature: entraid-authentication, Property 2: Missing Configuration Detection."""
    table["tenant_id"] = "00000000-0000-4000-8000-000000000001"
    for name in missing:
        if how == "absent":
            del table[name]
        else:
            table[name] = "" if how == "empty" else None

    with pytest.raises(ConfigurationError) as error:
        AuthConfig.from_secrets({"auth": table})
    named = set(re.findall(r"\w+", str(error.value).split("missing")[0]))
    assert named & set(FIELDS) == missing


@given(tenant_id=guids)
def test_metadata_url_format(tenant_id: str) -> None:
    """Feature: entraid-authentication, Property 3: Metadata URL Format."""
    assert build_metadata_url(tenant_id) == (
        f"https://login.microsoftonline.com/{tenant_id}/v2.0/.well-known/openid-configuration"
    )


@given(table=tables())
def test_group_mapping_storage(table: dict[str, Any]) -> None:
    """Feature: entraid-authentication, Property 4: Group Mapping Storage."""
    stored = AuthConfig.from_secrets({"auth": table}).group_mappings

    assert set(stored) == set(table["group_mappings"])
    assert all(isinstance(level, PermissionLevel) for level in stored.values())
    for oid, level in table["group_mappings"].items():
        assert level in {stored[oid].value} or str(level).upper() == stored[oid].name


@pytest.mark.parametrize("tenant", ["common", "organizations", "consumers", "contoso.com", "../x"])
def test_only_one_tenant_is_a_tenant(tenant: str) -> None:
    with pytest.raises(ConfigurationError, match="expected the tenant's GUID"):
        build_metadata_url(tenant)


def test_a_wrong_level_is_answered_with_the_valid_ones() -> None:
    table = {"group_mappings": {"an-oid": "owner"}}

    with pytest.raises(ConfigurationError, match="viewer, analyst, admin") as error:
        AuthConfig.from_secrets(table)
    assert "an-oid" in str(error.value)


def test_secrets_are_not_shown() -> None:
    config = AuthConfig("id", "hush-1", "tenant", "uri", "hush-2", "url")

    assert "hush" not in repr(config)
