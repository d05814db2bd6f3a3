"""The sandbox's parts, running."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import requests

from sandbox.entra.server import EntraServer, Options
from tests.sandbox.entra_fixtures import Entra, SignIn


@pytest.fixture(scope="session")
def _shared_entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    with EntraServer(Options(state=tmp_path_factory.mktemp("entra"))) as server:
        yield Entra(server)


@pytest.fixture
def entra(_shared_entra: Entra) -> Iterator[Entra]:
    """The fake Entra, as it is at its start except for rotated keys."""
    yield _shared_entra
    _shared_entra.control.reset()


@pytest.fixture
def new_entra() -> Iterator[Callable[[Options], Entra]]:
    """Starts a fake Entra of the test's own, which ends with the test."""
    with ExitStack() as stack:
        yield lambda options: Entra(stack.enter_context(EntraServer(options)))


@pytest.fixture
def browser() -> Iterator[requests.Session]:
    """A browser's cookies."""
    with requests.Session() as session:
        yield session


@pytest.fixture
def sign_in(entra: Entra, browser: requests.Session) -> SignIn:
    """A sign-in to the web application that has not begun."""
    return SignIn(entra, browser)
