"""Which scope fits which host, and which hosts may get a token at all: rules for all names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.policy import DEFAULT_SCOPE, OSSRDBMS_SCOPE, MongoPolicy, scope_form_problem

POLICY = MongoPolicy(
    audiences={
        "mongocluster.cosmos.azure.com": OSSRDBMS_SCOPE,
        "cn.mongocluster.cosmos.azure.com": "https://cn.example/.default",
    },
    allowed_hosts=("cosmos.azure.com", ".example.org."),
)
OTHER_HOST = "db.cosmos.azure.com"

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join)
resources = hosts.map(lambda host: f"https://{host}")


def problems(scope: str, host: str) -> str:
    return " ".join(POLICY.scope_problems([scope], host))


@given(hosts)
def test_a_host_is_allowed_below_a_suffix_and_nowhere_else(host: str) -> None:
    assert POLICY.allows(f"{host}.cosmos.azure.com")
    assert POLICY.allows(f"{host}.EXAMPLE.org.")
    assert not POLICY.allows(f"{host}cosmos.azure.com".replace("-", "x"))
    assert not POLICY.allows(f"cosmos.azure.com.{host}.net")


@given(hosts, st.booleans())
def test_a_host_in_the_map_takes_its_scope_and_refuses_every_other(
    prefix: str, china: bool
) -> None:
    host = f"{prefix}.{'cn.' if china else ''}mongocluster.cosmos.azure.com"
    expected = POLICY.scope_for(host)
    assert expected is not None
    assert problems(expected, host) == ""
    assert f"accepts {expected!r} only" in problems(DEFAULT_SCOPE, host)


@given(resources)
def test_a_host_outside_the_map_takes_the_default_only(resource: str) -> None:
    assert problems(DEFAULT_SCOPE, OTHER_HOST) == ""
    if f"{resource}/.default" != DEFAULT_SCOPE:
        assert "belongs to another service" in problems(f"{resource}/.default", OTHER_HOST)


@given(st.lists(resources, min_size=2, max_size=4))
def test_several_resources_are_never_one_scope(several: list[str]) -> None:
    scopes = [f"{resource}/.default" for resource in several]
    assert "a token is for one" in " ".join(POLICY.scope_problems(scopes, OTHER_HOST))
    assert "several in one text" in str(scope_form_problem(" ".join(scopes)))


@given(st.text())
def test_what_has_the_form_of_a_scope_is_one_resource_with_all_its_rights(text: str) -> None:
    if scope_form_problem(text) is None:
        assert text.startswith("https://")
        assert text.endswith("/.default")
        assert " " not in text


@pytest.mark.parametrize(
    ("scope", "hint"),
    [
        (OSSRDBMS_SCOPE, "PostgreSQL, MySQL and Azure DocumentDB"),
        ("https://graph.microsoft.com/.default", "(Microsoft Graph)"),
        ("https://management.azure.com/.default", "(Azure Resource Manager)"),
        ("https://database.windows.net/.default", "(Azure SQL)"),
        ("https://cosmos.azure.com", "all that it was given"),
        ("https://cosmos.azure.com/user_impersonation", "all that it was given"),
        ("https:///.default", "expected https://<resource>/.default"),
        ("cosmos.azure.com/.default", "expected https://<resource>/.default"),
    ],
)
def test_a_classic_mistake_gets_a_hint(scope: str, hint: str) -> None:
    assert hint in problems(scope, OTHER_HOST)


def test_the_empty_suffix_allows_nobody() -> None:
    assert not MongoPolicy(audiences={}, allowed_hosts=("", ".")).allows("evil.example")
