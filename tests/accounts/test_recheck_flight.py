"""One request asks Graph for a person, and a failure shows nobody more than was last known."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth import SESSION_KEY
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from accounts import recheck
from accounts.graph import GraphError, GraphUnavailable, Membership, graph_client
from accounts.levels import PermissionLevel
from accounts.mappings import create_mapping
from accounts.models import User
from accounts.permissions import PermissionService
from accounts.scopes import NOTHING, Scope
from sandbox.entra.directory import GROUP_ADMIN
from sandbox.entra.faults import Endpoints
from tests.accounts.journey import Journey
from tests.people import GROUPS, new_person
from tests.sandbox.entra_fixtures import Entra

VIEWER, ANALYST, ADMIN = PermissionLevel


class Graph:
    """Answers, after doing ``meanwhile``, and counts how often it was asked."""

    def __init__(
        self, answer: Membership | GraphError, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        self.answer = answer
        self.meanwhile = meanwhile
        self.asked = 0

    def membership(self, user_oid: str) -> Membership:
        self.asked += 1
        self.meanwhile()
        if isinstance(self.answer, GraphError):
            raise self.answer
        return self.answer


def grow_old() -> None:
    User.objects.update(groups_fetched_at=timezone.now() - timedelta(hours=1))


def level_of(person: User, graph: Graph) -> PermissionLevel:
    """What a request of one of the person's browsers gets."""
    service = PermissionService(graph=graph, session=Client().session)
    return service.current_permission(User.objects.get(pk=person.pk)).permission_level


LOST = Membership(())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("answer", "level"),
    [(Membership((str(GROUPS[ADMIN]),)), ADMIN), (LOST, VIEWER)],
    ids=["kept", "lost"],
)
def test_a_request_waits_for_the_one_that_asks(
    answer: Membership, level: PermissionLevel, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = new_person(ADMIN)
    grow_old()
    person.refresh_from_db()
    assert recheck.claim(person)
    # The one that asks gets its answer while the other sleeps.
    monkeypatch.setattr(
        "accounts.recheck.time.sleep", lambda _seconds: recheck.keep(person, answer)
    )
    graph = Graph(LOST)

    assert level_of(person, graph) is level
    assert graph.asked == 0


@pytest.mark.django_db
def test_while_one_asks_no_other_does_and_nobody_keeps_an_old_level(settings: Settings) -> None:
    settings.ENTRA_TIMEOUT = 0.1
    person = new_person(ADMIN)
    grow_old()
    others: list[PermissionLevel] = []
    graph = Graph(
        Membership((str(GROUPS[ADMIN]),)),
        meanwhile=lambda: others.append(level_of(person, graph)),
    )

    assert level_of(person, graph) is ADMIN
    assert (graph.asked, others) == (1, [VIEWER])


@pytest.mark.django_db
def test_a_failure_lets_the_next_one_ask() -> None:
    person = new_person(ADMIN)
    grow_old()
    graph = Graph(GraphUnavailable("down"))

    assert [level_of(person, graph) for _ in range(2)] == [VIEWER, VIEWER]
    assert graph.asked == 2
    assert User.objects.get().groups_claimed_until is None


@pytest.mark.django_db
def test_who_comes_late_does_not_ask_again() -> None:
    person = new_person(ADMIN)
    grow_old()
    late = User.objects.get(pk=person.pk)
    level_of(person, Graph(LOST))

    graph = Graph(GraphUnavailable("must not be asked"))
    service = PermissionService(graph=graph, session=Client().session)
    assert service.current_permission(late).permission_level is VIEWER
    assert graph.asked == 0


@pytest.mark.django_db
def test_a_claim_of_a_process_that_died_runs_out(settings: Settings) -> None:
    person = new_person(ADMIN)
    grow_old()
    person.refresh_from_db()

    assert recheck.claim(person)
    assert not recheck.claim(person)
    User.objects.update(groups_claimed_until=timezone.now() - timedelta(seconds=1))
    assert recheck.claim(person)


@pytest.mark.django_db
def test_a_refusal_gives_the_claim_back(journey: Journey, entra: Entra, client: Client) -> None:
    create_mapping(group_oid=UUID(GROUP_ADMIN), level=ADMIN)
    journey.sign_in("ada")
    entra.control.change_person("ada", enabled=False)
    grow_old()

    assert client.get("/admin/").status_code == 403
    assert User.objects.get().groups_claimed_until is None


@pytest.mark.django_db
def test_revoked_sessions_end_whichever_session_asked_graph(
    journey: Journey, entra: Entra, client: Client
) -> None:
    create_mapping(group_oid=UUID(GROUP_ADMIN), level=ADMIN)
    journey.sign_in("ada")
    session = client.session
    session["signed_in_at"] -= 600.0
    session.save()
    # Another browser of ada's signs in after the revocation, and its groups are fresh.
    User.objects.update(sessions_valid_from=timezone.now() - timedelta(seconds=60))

    assert client.post("/admin/").status_code == 401
    assert SESSION_KEY not in client.session


# --- a Graph that fails, with scoped mappings in use ------------------------------------------


@pytest.fixture
def scoped_admin(journey: Journey) -> User:
    create_mapping(group_oid=UUID(GROUP_ADMIN), level=ADMIN, scope=["mine"])
    journey.sign_in("ada")
    return User.objects.get()


def scope_now(person: User, client: Client, entra: Entra) -> Scope:
    entra.control.fail(Endpoints.GRAPH, times=None, status=500)
    service = PermissionService(graph=graph_client(), session=client.session)
    permission = service.current_permission(User.objects.get(pk=person.pk))
    assert permission.permission_level is VIEWER
    return permission.scope_for(VIEWER)


@pytest.mark.django_db
def test_the_last_known_scope_holds(scoped_admin: User, client: Client, entra: Entra) -> None:
    grow_old()

    assert scope_now(scoped_admin, client, entra) == Scope(frozenset({"mine"}))


@pytest.mark.django_db
def test_without_a_last_known_scope_there_are_no_rows(
    scoped_admin: User, client: Client, entra: Entra, settings: Settings
) -> None:
    settings.ENTRA_DEFAULT_SCOPE = ["all"]
    User.objects.update(groups_fetched_at=None)

    assert scope_now(scoped_admin, client, entra) == NOTHING


@pytest.mark.django_db
def test_an_outage_never_widens_a_scope(
    scoped_admin: User, client: Client, entra: Entra, settings: Settings
) -> None:
    settings.ENTRA_DEFAULT_SCOPE = ["all"]
    grow_old()

    assert scope_now(scoped_admin, client, entra) == Scope(frozenset({"mine"}))


@pytest.mark.django_db
def test_a_guarded_request_costs_one_read_more(client: Client) -> None:
    person = new_person(VIEWER)
    person.group_oids += [str(UUID(int=number)) for number in range(1, 2500)]
    person.save()
    client.force_login(person, backend="accounts.oidc.EntraBackend")
    client.get("/freshness/")

    with CaptureQueriesContext(connection) as queries:
        client.get("/freshness/")
    tables = [q["sql"].split('FROM "')[1].split('"')[0] for q in queries if "FROM" in q["sql"]]
    assert [table for table in tables if not table.startswith("finops_")] == [
        "django_session",
        "accounts_user",
        "accounts_mappingsversion",
    ]
    assert not any("group_oids" in query["sql"] for query in queries)
