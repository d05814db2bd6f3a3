"""The Graph client against the fake's Graph: paging, throttling, failures that stay failures."""

import time

import pytest
from pytest_django import Settings

from accounts.graph import (
    GraphAPIClient,
    GraphError,
    GraphForbidden,
    GraphMalformed,
    GraphThrottled,
    GraphUnavailable,
    GraphUserGone,
    graph_client,
)
from sandbox.entra.directory import GROUP_ANALYST, PEOPLE
from sandbox.entra.faults import Endpoints, FaultKind
from tests.sandbox.entra_fixtures import Entra

ADA, DAN, EVA, FINN = (PEOPLE[key].oid for key in ("ada", "dan", "eva", "finn"))


@pytest.fixture
def graph(entra: Entra) -> GraphAPIClient:
    return graph_client()


def test_groups_of_groups_are_there(graph: GraphAPIClient) -> None:
    assert GROUP_ANALYST in graph.get_user_groups(EVA)


def test_all_pages_are_read(graph: GraphAPIClient, entra: Entra) -> None:
    entra.control.forget_hits()

    assert set(graph.get_user_groups(FINN)) == set(PEOPLE["finn"].groups)
    assert sum(count for name, count in entra.control.hits().items() if "member" in name) == 3


def test_no_groups_is_an_answer(graph: GraphAPIClient) -> None:
    assert graph.get_user_groups(DAN) == []


def test_a_disabled_account_is_told(graph: GraphAPIClient) -> None:
    assert graph.membership(PEOPLE["hal"].oid).enabled is False


def test_the_token_is_fetched_once(graph: GraphAPIClient, entra: Entra) -> None:
    entra.control.forget_hits()
    for _again in range(3):
        graph.membership(ADA)

    assert entra.control.hits()["token"] == 1


def test_throttling_is_waited_for(graph: GraphAPIClient, entra: Entra) -> None:
    graph.membership(ADA)
    entra.control.fail(Endpoints.GRAPH, status=429, retry_after=1)
    started = time.monotonic()

    assert graph.membership(ADA).group_oids
    assert time.monotonic() - started >= 1.0


def test_a_short_outage_is_sat_out(graph: GraphAPIClient, entra: Entra) -> None:
    entra.control.fail(Endpoints.GRAPH, times=2, status=503)

    assert graph.membership(ADA).group_oids


def test_a_wait_beyond_the_budget_is_not_begun(
    graph: GraphAPIClient, entra: Entra, settings: Settings
) -> None:
    settings.ENTRA_TIMEOUT = 2.0
    graph.membership(ADA)
    entra.control.fail(Endpoints.GRAPH, times=None, status=429, retry_after=60)
    started = time.monotonic()

    with pytest.raises(GraphThrottled):
        graph.membership(ADA)
    assert time.monotonic() - started < 1.0


def test_slow_answers_share_one_budget(
    graph: GraphAPIClient, entra: Entra, settings: Settings
) -> None:
    graph.membership(ADA)
    settings.ENTRA_TIMEOUT = 0.5
    entra.control.fail(Endpoints.GRAPH, FaultKind.SLOW, times=None, seconds=0.3)
    started = time.monotonic()

    with pytest.raises(GraphUnavailable):
        graph.membership(FINN)
    assert time.monotonic() - started < 1.5


def test_a_refused_token_is_dropped_and_one_more_tried(graph: GraphAPIClient, entra: Entra) -> None:
    graph.membership(ADA)
    entra.control.forget_hits()
    entra.control.fail(Endpoints.GRAPH, status=401)

    assert graph.membership(ADA).group_oids
    assert entra.control.hits()["token"] == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, GraphForbidden),
        (403, GraphForbidden),
        (404, GraphUserGone),
        (400, GraphUnavailable),
        (500, GraphUnavailable),
    ],
)
def test_a_failure_is_an_error_of_its_kind(
    graph: GraphAPIClient, entra: Entra, status: int, error: type[GraphError]
) -> None:
    entra.control.fail(Endpoints.GRAPH, times=None, status=status)

    with pytest.raises(error):
        graph.membership(ADA)


@pytest.mark.parametrize("kind", [FaultKind.MALFORMED, FaultKind.FOREIGN_NEXT_LINK])
def test_what_cannot_be_trusted_is_a_failure(
    graph: GraphAPIClient, entra: Entra, kind: FaultKind
) -> None:
    entra.control.fail(Endpoints.GRAPH, kind, times=None)

    with pytest.raises(GraphMalformed):
        graph.membership(FINN)


def test_a_dropped_connection_is_a_failure(graph: GraphAPIClient, entra: Entra) -> None:
    entra.control.fail(Endpoints.GRAPH, FaultKind.DROPPED, times=None)

    with pytest.raises(GraphUnavailable):
        graph.membership(ADA)


def test_an_unknown_person_is_gone(graph: GraphAPIClient) -> None:
    with pytest.raises(GraphUserGone):
        graph.membership("00000000-0000-4000-8000-000000000001")


def test_a_wrong_secret_is_no_outage(entra: Entra, settings: Settings) -> None:
    settings.ENTRA_CLIENT_SECRET = "wrong"

    with pytest.raises(GraphForbidden, match="invalid_client"):
        graph_client().membership(ADA)


def test_an_oid_is_no_way_into_another_address(graph: GraphAPIClient) -> None:
    with pytest.raises(ValueError, match="UUID"):
        graph.membership("../../me")


@pytest.mark.parametrize(
    "link",
    [
        "https://graph.microsoft.com.evil.example/v1.0/users",
        "http://graph.microsoft.com/v1.0/users",
        "https://user@graph.microsoft.com/v1.0/users",
        "https://graph.microsoft.com:8443/v1.0/users",
        "https://graph.microsoft.com/beta/users",
        "https://graph.microsoft.com/v1.0/../beta/users",
        "//graph.microsoft.com/v1.0/users",
        "",
        7,
        None,
    ],
)
def test_a_next_link_stays_on_the_graph_host(link: object) -> None:
    client = GraphAPIClient("id", "secret", "tenant")

    with pytest.raises(GraphMalformed):
        client._pinned(link)


def test_the_client_does_not_show_its_secret() -> None:
    assert "hush" not in repr(GraphAPIClient("id", "hush", "tenant"))
