"""What the guard costs: ``python -m benchmarks.guard [--rounds 400]``.

1. A request to a guarded page against the same page that only reads who is signed in, in turns, for
   a person with 2 groups and one with 2,500; and the statements that each sends to the database.
2. The sign-in of a person with 2,500 groups while every answer of Graph takes 100 ms.
3. Requests of one person in parallel once the groups are old: how often Graph is asked.

All through Django's whole stack of middleware, on an SQLite file. Medians are printed.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from uuid import UUID, uuid4

from tests import environment  # noqa: F401 - what the settings read: a folder and database of its own

os.environ["DJANGO_SETTINGS_MODULE"] = "finops.settings"

import django

django.setup()

import requests  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, connections  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext, override_settings  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.guard import public, require_permission  # noqa: E402
from accounts.levels import PermissionLevel  # noqa: E402
from accounts.mappings import create_mapping  # noqa: E402
from accounts.models import User  # noqa: E402
from accounts.permissions import SIGNED_IN_KEY  # noqa: E402
from accounts.renewal import TOKEN_ENDS_KEY  # noqa: E402
from sandbox.entra.client import pick_person  # noqa: E402
from sandbox.entra.directory import (  # noqa: E402
    GROUP_ANALYST,
    WEB_CLIENT_ID,
    WEB_CLIENT_SECRET,
)
from sandbox.entra.faults import Endpoints, FaultKind  # noqa: E402
from sandbox.entra.server import EntraServer, Options  # noqa: E402
from tests.sandbox.entra_fixtures import Entra  # noqa: E402

GRAPH_DELAY = 0.1  # seconds
PARALLEL = 12


@require_permission(PermissionLevel.VIEWER)
def guarded(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.pk))


@public
def unguarded(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.pk))


urlpatterns = [
    path("guarded/", guarded),
    path("unguarded/", unguarded),
    path("", include("finops.urls")),
]


def milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def person(groups: int) -> User:
    oids = [str(uuid4()) for _ in range(groups)]
    create_mapping(group_oid=UUID(oids[0]), level=PermissionLevel.ANALYST, scope=["a", "b"])
    return User.objects.create(
        username=oids[0],
        tid=settings.ENTRA_TENANT_ID,
        oid=uuid4(),
        group_oids=oids,
        groups_fetched_at=timezone.now(),
    )


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="accounts.oidc.EntraBackend")
    session = client.session
    session[SIGNED_IN_KEY] = time.time()
    session[TOKEN_ENDS_KEY] = time.time() + 3600
    session.save()
    return client


def measure_guard(groups: int, rounds: int) -> None:
    client = signed_in(person(groups))
    works = {name: partial(client.get, f"/{name}/") for name in ("unguarded", "guarded")}
    for work in works.values():
        assert work().status_code == 200
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(milliseconds(work))
    medians = {name: statistics.median(found) for name, found in times.items()}
    more = medians["guarded"] - medians["unguarded"]
    print(
        f"  {groups:>5,} groups: unguarded {medians['unguarded']:.2f} ms,"
        f" guarded {medians['guarded']:.2f} ms, {more:+.2f} ms"
    )
    with CaptureQueriesContext(connection) as queries:
        works["guarded"]()
    tables = [q["sql"].split('FROM "')[1].split('"')[0] for q in queries if 'FROM "' in q["sql"]]
    print(f"               reads of a guarded request: {', '.join(tables)}")


def measure_sign_in(entra: Entra, rounds: int) -> None:
    create_mapping(group_oid=UUID(GROUP_ANALYST), level=PermissionLevel.ANALYST)
    times = []
    for _ in range(rounds):
        entra.control.fail(Endpoints.GRAPH, FaultKind.SLOW, times=None, seconds=GRAPH_DELAY)
        client = Client()
        with requests.Session() as elsewhere:
            start = client.get("/oidc/authenticate/")["Location"]
            callback = pick_person(elsewhere, start, "finn")
        address = "/" + callback.split("/", 3)[3]
        times.append(milliseconds(partial(client.get, address)))
        assert "_auth_user_id" in client.session, "not signed in"
    finn = User.objects.get(display_name__startswith="Finn")
    print(
        f"  {len(finn.group_oids):,} groups, Graph answers after {GRAPH_DELAY * 1000:.0f} ms:"
        f" callback {statistics.median(times):.0f} ms (slowest {max(times):.0f} ms of {rounds})"
    )


def measure_single_flight(entra: Entra) -> None:
    finn = User.objects.get(display_name__startswith="Finn")
    User.objects.filter(pk=finn.pk).update(groups_fetched_at=timezone.now() - timedelta(hours=1))
    clients = [signed_in(finn) for _ in range(PARALLEL)]
    entra.control.forget_hits()

    def one(client: Client) -> int:
        try:
            return client.get("/guarded/").status_code
        finally:
            connections.close_all()

    started = time.perf_counter()
    with ThreadPoolExecutor(PARALLEL) as pool:
        statuses = list(pool.map(one, clients))
    spent = time.perf_counter() - started
    hits = {name: count for name, count in entra.control.hits().items() if "graph" in name}
    print(
        f"  {PARALLEL} sessions of one person at once, groups old: {spent * 1000:.0f} ms,"
        f" answers {sorted(set(statuses))}, requests to Graph {hits}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    names = ("Django", "mozilla-django-oidc", "msal", "requests")
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors,"
        f" Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in names)
    )
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="finops-benchmark-"))
        entra = Entra(stack.enter_context(EntraServer(Options(state=Path(folder)))))
        changed = {
            "ROOT_URLCONF": "benchmarks.guard",
            "ENTRA_AUTHORITY_HOST": entra.addresses.tls,
            "GRAPH_URL": entra.addresses.graph,
            "ENTRA_CA_FILE": entra.ca,
            "ENTRA_CLIENT_ID": WEB_CLIENT_ID,
            "ENTRA_CLIENT_SECRET": WEB_CLIENT_SECRET,
            "ALLOWED_HOSTS": ["*"],
        }
        stack.enter_context(override_settings(**changed))
        print(f"Guard, medians of {options.rounds} requests each, in turns:")
        for groups in (2, 2500):
            measure_guard(groups, options.rounds)
        print("Sign-in:")
        measure_sign_in(entra, 7)
        print("Single flight:")
        measure_single_flight(entra)


if __name__ == "__main__":
    main()
