"""Which collections a flow has at this moment.

Those that its scope names are its streams whether they exist or not. Those that match a pattern
are found in the source; once one has a position it stays a stream, also while the source does not
answer or after the collection is gone: its copy has to follow.
"""

from collections.abc import Iterable

from pymongo.database import Database

from replication.models import Flow
from replication.mongo import Document, client_for


def listed(connection: str, database: str) -> list[str]:
    """Return the collections of a database; no views, which have no changes to follow.

    Raises:
        PyMongoError, ReplicationError: the cluster cannot be asked.
    """
    found: Database[Document] = client_for(connection)[database]
    with found.list_collections(
        filter={"type": "collection"}, nameOnly=True, authorizedCollections=True
    ) as collections:
        return sorted(each["name"] for each in collections)


def stored(flow: Flow, keys: Iterable[str]) -> list[str]:
    """Return the collections whose positions are among these keys."""
    prefix = flow.key_of("")
    return [key.removeprefix(prefix) for key in keys if key.startswith(prefix) and key != prefix]


def collections_of(flow: Flow, *known: Iterable[str]) -> list[str]:
    """Return the names in a flow's scope, and those of the known collections that match it."""
    scope = flow.scope
    matching = {name for names in known for name in names if scope.matches(name)}
    return [*dict.fromkeys((*scope.names, *sorted(matching)))]
