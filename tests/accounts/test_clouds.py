"""National clouds: what discovery names is taken where it belongs to the configured authority."""

from typing import Any

import pytest
from pytest_django import Settings

from accounts import discovery
from accounts.discovery import UntrustedDocument, read_endpoints
from accounts.graph import GraphUnavailable, graph_client
from tests.sandbox.entra_fixtures import Entra

TENANT = "3f2b7c1e-8d49-4b0a-9c35-1e6d7a8b9c01"
CLOUDS = {
    "https://login.microsoftonline.com": "graph.microsoft.com",
    "https://login.microsoftonline.us": "graph.microsoft.us",
    "https://login.partner.microsoftonline.cn": "microsoftgraph.chinacloudapi.cn",
}


def document(host: str, graph: object) -> dict[str, Any]:
    base = f"{host}/{TENANT}"
    return {
        "issuer": f"{base}/v2.0",
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "token_endpoint": f"{base}/oauth2/v2.0/token",
        "jwks_uri": f"{base}/discovery/v2.0/keys",
        "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
        "msgraph_host": graph,
    }


@pytest.mark.parametrize(("host", "graph"), CLOUDS.items())
def test_each_clouds_document_is_read(host: str, graph: str) -> None:
    found = read_endpoints(
        document(host, graph), authority_host=host, tenant_id=TENANT, sandbox=False
    )

    assert found.token.startswith(host)
    assert found.graph_host == graph


@pytest.mark.parametrize("host", CLOUDS)
@pytest.mark.parametrize("other", CLOUDS)
def test_another_clouds_issuer_is_rejected(host: str, other: str) -> None:
    if host == other:
        return
    with pytest.raises(UntrustedDocument, match="issuer is"):
        read_endpoints(
            document(other, "graph.microsoft.com"),
            authority_host=host,
            tenant_id=TENANT,
            sandbox=False,
        )


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri"])
def test_another_clouds_endpoint_is_rejected(name: str) -> None:
    host, other = "https://login.microsoftonline.us", "https://login.microsoftonline.com"
    mixed = document(host, "graph.microsoft.us") | {name: document(other, "")[name]}

    with pytest.raises(UntrustedDocument, match=name):
        read_endpoints(mixed, authority_host=host, tenant_id=TENANT, sandbox=False)


@pytest.mark.parametrize("graph", ["graph.evil.example", "", None, 7, "graph.microsoft.com/x"])
def test_a_graph_that_nobody_knows_gets_no_token(graph: object) -> None:
    host = "https://login.microsoftonline.com"

    found = read_endpoints(
        document(host, graph), authority_host=host, tenant_id=TENANT, sandbox=False
    )

    assert found.graph_host == ""


def test_graph_is_found_where_no_setting_names_it(
    entra: Entra, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GRAPH_URL = ""
    # The sandbox's Graph is on no host that a cloud has.
    with pytest.raises(GraphUnavailable, match="entra_untrusted"):
        graph_client().get_user_groups(TENANT)

    host = entra.addresses.graph.removeprefix("https://")
    monkeypatch.setattr(discovery, "GRAPH_HOSTS", discovery.GRAPH_HOSTS | {host})
    discovery.forget()

    assert discovery.graph_url() == entra.addresses.graph
