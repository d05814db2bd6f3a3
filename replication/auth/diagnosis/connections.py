"""What to look at: the connections that the admin knows, what flows do with them, and others."""

from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from replication.config import AuthMethod, MongoConfig
from replication.errors import InvalidConfiguration, UnknownConnection

AUTH_METHODS = tuple(method.value for method in AuthMethod)


@dataclass(frozen=True)
class Target:
    """A connection to look at. ``reads`` are (database, collection) pairs that flows read from.

    ``problem`` is set where the row does not even lead to a configuration.
    """

    name: str
    config: MongoConfig
    reads: tuple[tuple[str, str], ...] = ()
    writes: str = ""  # the database that a flow writes to
    problem: str = ""


@dataclass(frozen=True)
class Overrides:
    """What somebody wants otherwise than the connection has it. Empty: as it is."""

    auth_method: str = ""
    tenant_id: str = ""
    client_id: str = ""
    scope: str = ""
    database: str = ""
    collection: str = ""

    def of(self, target: Target) -> Target:
        """Return ``target``, changed."""
        wanted: dict[str, Any] = {
            "auth_method": self.auth_method,
            "tenant_id": self.tenant_id,
            "client_id": self.client_id,
            "scopes": (self.scope,) if self.scope else (),
            "database": self.database,
            "collection": self.collection,
        }
        changes = {name: value for name, value in wanted.items() if value}
        return replace(target, config=replace(target.config, **changes))


def target_at(uri: str, overrides: Overrides) -> Target:
    """Return a target that no row describes. It signs in by Entra unless told otherwise."""
    method = overrides.auth_method or AuthMethod.ENTRA
    entra = method == AuthMethod.ENTRA
    config = MongoConfig(
        connection_uri=uri,
        auth_method=method,
        tenant_id=settings.AZURE_TENANT_ID if entra else "",
        client_id=settings.AZURE_CLIENT_ID if entra else "",
    )
    return overrides.of(Target("--uri", config))


def connection_names() -> list[str]:
    """Return the names of all connections in alphabetical order."""
    # Needs Django's apps, which a look at an address alone does not.
    from replication.models import Connection

    return list(Connection.objects.order_by("name").values_list("name", flat=True))


def target_of(name: str) -> Target:
    """Return the connection of that name. Raises UnknownConnection, naming those that exist."""
    from replication.models import Connection, Flow

    row = Connection.objects.filter(name=name).first()
    if row is None:
        known = ", ".join(connection_names()) or "none yet"
        raise UnknownConnection(
            f"There is no connection {name!r}; there are: {known}. The admin has them under"
            " Replication, Connections."
        )
    sources = Flow.objects.filter(source=row, enabled=True).order_by("name")
    destination = Flow.objects.filter(destination=row, enabled=True).order_by("name").first()
    found: dict[str, Any] = {
        # Which collections a pattern means, only the source can tell.
        "reads": tuple(
            (flow.source_database, name) for flow in sources for name in flow.scope.names
        ),
        "writes": destination.destination_database if destination else "",
    }
    try:
        return Target(name, row.mongo_config(), **found)
    except InvalidConfiguration as error:
        return Target(name, MongoConfig(row.uri), problem=str(error), **found)
