"""Microsoft Graph: who may read, what is read, in which pages, and how it fails."""

from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from sandbox.entra.client_authentication import JWT_BEARER
from sandbox.entra.directory import (
    GROUP_ANALYST,
    GROUP_DATA_PLATFORM,
    GROUP_DATA_PLATFORM_BERLIN,
    GROUP_VIEWER,
    MANY_GROUPS,
    PEOPLE,
    REPLICATOR_CLIENT_ID,
)
from sandbox.entra.faults import Endpoints, FaultKind
from sandbox.entra.hostile import Flaw
from tests.sandbox.entra_fixtures import Entra, SignIn

EVENTUAL = {"ConsistencyLevel": "eventual"}
CAST = "transitiveMemberOf/microsoft.graph.group?$count=true"


def memberships(key: str, **parameters: str | int) -> str:
    more = "".join(f"&${name}={value}" for name, value in parameters.items())
    return f"users/{PEOPLE[key].oid}/{CAST}{more}"


def test_a_user_has_the_default_properties(entra: Entra) -> None:
    user = entra.graph(f"users/{PEOPLE['ada'].oid}").json()

    assert user["displayName"] == "Ada Lindgren"
    assert user["mail"] == user["userPrincipalName"] == "ada.lindgren@nordwind.example"
    assert "accountEnabled" not in user


def test_selected_properties_come_and_no_others(entra: Entra) -> None:
    select = "$select=accountEnabled,signInSessionsValidFromDateTime,displayName,mail"
    user = entra.graph(f"users/{PEOPLE['hal'].oid}?{select}").json()

    assert user.pop("@odata.context")
    assert user == {
        "accountEnabled": False,
        "signInSessionsValidFromDateTime": "2026-01-05T08:00:00Z",
        "displayName": "Hal Whitfield",
        "mail": "hal.whitfield@nordwind.example",
    }


def test_a_property_that_does_not_exist_is_refused(entra: Entra) -> None:
    response = entra.graph(f"users/{PEOPLE['ada'].oid}?$select=password")

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "BadRequest"


def test_an_unknown_user_is_not_found(entra: Entra) -> None:
    response = entra.graph(f"users/{uuid4()}")

    assert response.status_code == 404
    error = response.json()["error"]
    assert error["code"] == "Request_ResourceNotFound"
    assert {"date", "request-id", "client-request-id"} == error["innerError"].keys()


def test_nested_groups_are_found_through_their_parents(entra: Entra) -> None:
    page = entra.graph(memberships("eva", select="id"), **EVENTUAL).json()

    assert page["value"] == [
        {"@odata.type": "#microsoft.graph.group", "id": group}
        for group in (GROUP_DATA_PLATFORM_BERLIN, GROUP_DATA_PLATFORM, GROUP_ANALYST)
    ]
    assert page["@odata.count"] == 3
    assert "@odata.nextLink" not in page


def test_who_is_in_no_group_has_an_empty_page(entra: Entra) -> None:
    page = entra.graph(memberships("dan"), **EVENTUAL).json()

    assert (page["value"], page["@odata.count"]) == ([], 0)


@pytest.mark.parametrize(("size", "pages"), [({}, 25), ({"top": 999}, 3)])
def test_finns_groups_come_in_pages(entra: Entra, size: dict[str, int], pages: int) -> None:
    token = entra.app_token().json()["access_token"]
    link: str | None = memberships("finn", select="id", **size)
    found: list[list[str]] = []
    while link:
        page = entra.graph(link, token, **EVENTUAL).json()
        found.append([group["id"] for group in page["value"]])
        link = page.get("@odata.nextLink")
        if link:
            assert urlsplit(link).netloc == urlsplit(entra.addresses.graph).netloc
            assert "skiptoken=" in link

    ids = [group for page_ids in found for group in page_ids]
    assert len(found) == pages
    assert len(ids) == len(set(ids)) == MANY_GROUPS
    assert GROUP_ANALYST in found[-1] or pages > 3
    assert GROUP_ANALYST not in found[0] + found[1]


@pytest.mark.parametrize("top", ["0", "1000", "-1", "many"])
def test_a_wrong_page_size_is_refused(entra: Entra, top: str) -> None:
    response = entra.graph(memberships("finn", top=top), **EVENTUAL)

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "Request_BadRequest"


def test_an_invented_skip_token_is_refused(entra: Entra) -> None:
    responses = [
        entra.graph(memberships("finn", skiptoken=token), **EVENTUAL) for token in ("100", "!", "")
    ]

    assert [response.status_code for response in responses] == [400] * 3


def test_the_cast_is_an_advanced_query(entra: Entra) -> None:
    without_header = entra.graph(memberships("ada"))
    without_count = entra.graph(memberships("ada").replace("?$count=true", ""), **EVENTUAL)

    for response in (without_header, without_count):
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "Request_UnsupportedQuery"


def test_groups_are_found_by_the_beginning_of_their_name(entra: Entra) -> None:
    filtered = entra.graph("groups?$filter=startswith(displayName,'finops')&$select=displayName")
    searched = entra.graph('groups?$search="displayName:FinOps V"', **EVENTUAL)

    names = [group["displayName"] for group in filtered.json()["value"]]
    assert names == ["FinOps Administrators", "FinOps Analysts", "FinOps Viewers"]
    assert [group["id"] for group in searched.json()["value"]] == [GROUP_VIEWER]


@pytest.mark.parametrize(
    "query",
    ["$filter=endswith(displayName,'x')", '$search="displayName:FinOps"', "$search=FinOps"],
)
def test_a_query_that_is_not_understood_is_refused(entra: Entra, query: str) -> None:
    assert entra.graph(f"groups?{query}").status_code == 400


def test_a_group_is_found_by_its_id(entra: Entra) -> None:
    assert entra.graph(f"groups/{GROUP_ANALYST}").json()["displayName"] == "FinOps Analysts"
    assert entra.graph(f"groups/{uuid4()}").status_code == 404


def test_an_unknown_address_is_refused_as_graph_does(entra: Entra) -> None:
    assert entra.graph("planets").json()["error"]["code"] == "BadRequest"


@pytest.mark.parametrize("authorization", [None, "Bearer", "Basic YTpi", "Bearer nonsense"])
def test_without_a_token_nothing_is_read(entra: Entra, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}

    response = entra.get(f"{entra.addresses.graph}/v1.0/groups", headers=headers)

    assert response.status_code == 401
    assert response.json()["error"]["code"] == "InvalidAuthenticationToken"
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("flaw", [flaw for flaw in Flaw if flaw not in {Flaw.NONE, Flaw.ABSENT}])
def test_a_hostile_token_reads_nothing(entra: Entra, flaw: Flaw) -> None:
    token = entra.control.mint_access_token(flaw, audience=entra.addresses.graph)

    assert entra.graph("groups?$top=1", token).status_code == 401


def test_a_minted_token_without_a_flaw_reads(entra: Entra) -> None:
    token = entra.control.mint_access_token(audience=entra.addresses.graph)

    assert entra.graph("groups?$top=1", token).status_code == 200


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat", "aud", "iss", "tid", "appid"])
def test_a_token_that_lacks_a_claim_reads_nothing(entra: Entra, claim: str) -> None:
    token = entra.control.mint_access_token(audience=entra.addresses.graph, claims={claim: None})

    assert entra.graph("groups?$top=1", token).status_code == 401


def test_an_application_without_the_permission_is_denied(entra: Entra) -> None:
    token = entra.token_request(
        grant_type="client_credentials",
        client_id=REPLICATOR_CLIENT_ID,
        client_assertion_type=JWT_BEARER,
        client_assertion=entra.server.federated_token_file.read_text(),
        scope=f"{entra.addresses.graph}/.default",
    ).json()["access_token"]

    response = entra.graph(f"users/{PEOPLE['ada'].oid}", token)

    assert response.status_code == 403
    assert response.json()["error"]["code"] == "Authorization_RequestDenied"


def test_a_persons_token_opens_userinfo_and_nothing_else(sign_in: SignIn) -> None:
    token = sign_in.redeem(sign_in.code("ben")).json()["access_token"]
    entra = sign_in.entra

    userinfo = entra.graph(f"{entra.addresses.graph}/oidc/userinfo", token).json()

    assert userinfo["email"] == "ben.okafor@nordwind.example"
    assert not {"oid", "tid"} & userinfo.keys()
    assert entra.graph("groups", token).status_code == 403


def test_throttling_says_how_long_to_wait(entra: Entra) -> None:
    entra.control.fail(Endpoints.GRAPH, status=429, times=2, retry_after=7)
    token = entra.app_token().json()["access_token"]

    answers = [entra.graph(memberships("ada"), token, **EVENTUAL) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert answers[0].json()["error"]["code"] == "TooManyRequests"


@pytest.mark.parametrize("status", [401, 403, 404, 503])
def test_a_status_can_be_asked_for(entra: Entra, status: int) -> None:
    entra.control.fail(Endpoints.GRAPH, status=status, times=None)
    token = entra.app_token().json()["access_token"]

    for _ in range(3):
        assert entra.graph("groups", token).status_code == status
    entra.control.stop_failing()
    assert entra.graph("groups", token).status_code == 200


def test_an_answer_can_be_slow(entra: Entra) -> None:
    token = entra.app_token().json()["access_token"]
    entra.control.fail(Endpoints.GRAPH, FaultKind.SLOW, seconds=0.2)

    assert entra.graph("groups", token).elapsed.total_seconds() >= 0.2


def test_an_answer_can_break_off(entra: Entra) -> None:
    entra.control.fail(Endpoints.GRAPH, FaultKind.MALFORMED)

    response = entra.graph("groups")

    assert response.status_code == 200
    with pytest.raises(ValueError, match="Unterminated"):
        response.json()


def test_a_next_link_can_lead_astray(entra: Entra) -> None:
    entra.control.fail(Endpoints.GRAPH, FaultKind.FOREIGN_NEXT_LINK)

    page = entra.graph(memberships("finn"), **EVENTUAL).json()

    assert urlsplit(page["@odata.nextLink"]).hostname == "graph.stranger.invalid"
    assert len(page["value"]) == 100


def test_a_persons_groups_and_account_can_change(entra: Entra) -> None:
    entra.control.change_person("dan", groups=[GROUP_DATA_PLATFORM], enabled=False)

    page = entra.graph(memberships("dan", select="id"), **EVENTUAL).json()
    user = entra.graph(f"users/{PEOPLE['dan'].oid}?$select=accountEnabled").json()

    assert [group["id"] for group in page["value"]] == [GROUP_DATA_PLATFORM, GROUP_ANALYST]
    assert user["accountEnabled"] is False


def test_a_deleted_person_is_gone(entra: Entra) -> None:
    entra.control.delete_person("cleo")

    assert entra.graph(memberships("cleo"), **EVENTUAL).status_code == 404


def test_revoking_sessions_shows_in_graph(entra: Entra) -> None:
    entra.control.revoke_sessions("ada")

    path = f"users/{PEOPLE['ada'].oid}?$select=signInSessionsValidFromDateTime"
    assert entra.graph(path).json()["signInSessionsValidFromDateTime"] > "2026-01-05T08:00:00Z"
