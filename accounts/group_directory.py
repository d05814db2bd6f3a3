"""The tenant's groups: found by name, named by object id."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from accounts.claims import display_text
from accounts.graph import GraphMalformed, GraphUserGone, graph_client

LARGEST: Final = 25  # matches; a longer list is narrowed by more letters


@dataclass(frozen=True, slots=True)
class DirectoryGroup:
    """A group as the directory knows it. Names are not unique; the object id is."""

    oid: UUID
    name: str


def find_groups(name: str) -> list[DirectoryGroup]:
    """Return up to ``LARGEST`` groups whose name holds a word beginning so. Raises ``GraphError``.

    Characters that Graph's search gives a meaning to are left out.
    """
    words = name.translate({ord('"'): " ", ord("\\"): " "}).strip()[:100]
    if not words:
        return []
    search = quote(f'"displayName:{words}"', safe="")
    page = graph_client().read(
        f"groups?$search={search}&$select=id,displayName&$top={LARGEST}&$count=true"
    )
    items = page.get("value")
    if not isinstance(items, list):
        raise GraphMalformed("a list of groups is missing")
    return sorted((_group(item) for item in items), key=lambda group: group.name.casefold())


def group_name(oid: UUID) -> str | None:
    """Return the group's name; None where the directory has no such group.

    Raises ``GraphError`` where it cannot tell.
    """
    try:
        found = graph_client().read(f"groups/{oid}?$select=id,displayName")
    except GraphUserGone:
        return None
    return _group(found).name


def _group(item: Any) -> DirectoryGroup:
    try:
        return DirectoryGroup(UUID(item["id"]), display_text(item.get("displayName")))
    except (TypeError, KeyError, ValueError, AttributeError):
        raise GraphMalformed("a group has no object id") from None
