"""The site and the fake Entra over real HTTP, and what an attack may leave behind: a record."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker, Settings
from pytest_django.live_server_helper import LiveServer

from accounts.models import AuditEvent, User
from accounts.reasons import Reason
from sandbox.entra.directory import WEB_CLIENT_SECRET
from tests.accounts.attacks.visitor import Visitor
from tests.accounts.conftest import lead_to
from tests.sandbox.entra_fixtures import Entra


@pytest.fixture(scope="session")
def _server(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[LiveServer]:
    with django_db_blocker.unblock():
        server = LiveServer("localhost")
    yield server
    server.stop()


@dataclass
class Stage:
    """Where an attack takes place, and what is there before its hostile step."""

    entra: Entra
    settings: Settings
    address: str
    written: Callable[[], str]
    visitors: list[Visitor] = field(default_factory=list)
    secrets: set[str] = field(default_factory=lambda: {WEB_CLIENT_SECRET, "eyJ"})
    _users: int = 0
    _events: int = 0

    def visitor(self) -> Visitor:
        self.visitors.append(Visitor(self.address))
        return self.visitors[-1]

    def mark(self, **secrets: str) -> None:
        """From here on the step is hostile. ``secrets`` must not show up anywhere after it."""
        self._users = User.objects.count()
        self._events = AuditEvent.objects.count()
        self.secrets |= {value for value in secrets.values() if len(value) > 7}
        self.written()
        for visitor in self.visitors:
            visitor.seen.clear()

    def assert_harmless(self, reason: Reason) -> None:
        """One record with this reason, nobody new, no server error, no secret."""
        answers = [response for visitor in self.visitors for response in visitor.seen]
        assert [r.status_code for r in answers if r.status_code >= 500] == []
        events = list(AuditEvent.objects.order_by("pk").values()[self._events :])
        assert [event["reason"] for event in events] == [reason.value]
        assert User.objects.count() == self._users
        pages = "".join(r.text for r in answers if not r.is_redirect)
        places = {"log": self.written(), "page": pages, "row": json.dumps(events, default=str)}
        found = [name for name, text in places.items() for s in self.secrets if s in text]
        assert found == []


@pytest.fixture
def stage(
    db: None,
    _server: LiveServer,
    entra: Entra,
    settings: Settings,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Stage]:
    settings.SITE_URL = _server.url
    settings.CSRF_TRUSTED_ORIGINS = [_server.url]
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.INFO)
    stage = Stage(entra, settings, _server.url, lambda: "".join(capfd.readouterr()))
    yield stage
    root.setLevel(level)
    for visitor in stage.visitors:
        visitor.close()


def remember(attack: Any) -> Any:
    return pytest.param(attack, id=attack.name)


@pytest.fixture
def entra(_entra_server: Entra, settings: Settings) -> Iterator[Entra]:
    """As ``tests.accounts.conftest.entra``, but discovery, keys and Graph's token stay cached:

    no attack changes them, and asking for them anew would double the time of this folder.
    """
    lead_to(_entra_server, settings)
    yield _entra_server
    _entra_server.server.tenant.reset()
