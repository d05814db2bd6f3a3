"""A fake Entra that the settings point to, and a person's way through it."""

from collections.abc import Iterator

import pytest
import requests
from django.core.cache import caches
from django.test import Client
from hypothesis import settings as hypothesis_settings
from pytest_django import Settings

from accounts import discovery, graph, keys
from sandbox.entra.directory import WEB_CLIENT_ID, WEB_CLIENT_SECRET
from sandbox.entra.server import EntraServer, Options
from tests.accounts.journey import Journey
from tests.sandbox.entra_fixtures import Entra

hypothesis_settings.register_profile("ci", max_examples=100, deadline=None)
hypothesis_settings.load_profile("ci")


@pytest.fixture(scope="session")
def _entra_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    with EntraServer(Options(state=tmp_path_factory.mktemp("entra"))) as server:
        yield Entra(server)


@pytest.fixture(autouse=True)
def _nobody_has_knocked_yet() -> None:
    caches["limits"].clear()


@pytest.fixture
def entra(_entra_server: Entra, settings: Settings) -> Iterator[Entra]:
    """The fake Entra as at its start, with the settings that lead to it and nothing cached."""
    lead_to(_entra_server, settings)
    forget()
    yield _entra_server
    forget()
    _entra_server.server.tenant.reset()


@pytest.fixture
def journey(entra: Entra, client: Client) -> Iterator[Journey]:
    """A browser that has not signed in yet."""
    with requests.Session() as elsewhere:
        yield Journey(client, elsewhere)


def lead_to(entra: Entra, settings: Settings) -> None:
    settings.ENTRA_AUTHORITY_HOST = entra.addresses.tls
    settings.GRAPH_URL = entra.addresses.graph
    settings.ENTRA_CA_FILE = entra.ca
    settings.ENTRA_CLIENT_ID = WEB_CLIENT_ID
    settings.ENTRA_CLIENT_SECRET = WEB_CLIENT_SECRET


def forget() -> None:
    for module in (discovery, graph, keys):
        module.forget()
