"""The history of one mapping: who changed what, when and why."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from accounts.levels import PermissionLevel
from accounts.models import GroupMapping
from accounts.scopes import Scope

_FIELDS: Final = {
    "group_oid": "Object id",
    "display_name": "Name",
    "level": "Level",
    "scope": "Rows",
    "expires_on": "Expires on",
    "note": "Note",
}
_WHAT: Final = {"+": "Added", "~": "Changed", "-": "Removed"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One field's change, as text."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One step. ``who`` is empty where no person acted."""

    at: datetime
    what: str
    who: str
    why: str
    differences: tuple[Difference, ...]


def history_of(mapping_id: str) -> list[Entry]:
    """Return every step of the mapping, the latest first; also of one that is gone."""
    if not mapping_id.isdecimal():
        return []
    rows = GroupMapping.history.filter(id=int(mapping_id)).select_related("history_user")
    entries = []
    before: Any = None
    for row in rows.order_by("history_date", "history_id"):
        entries.append(
            Entry(
                at=row.history_date,
                what=_WHAT[row.history_type],
                who=str(row.history_user or ""),
                why=row.history_change_reason or "",
                differences=() if row.history_type == "-" else _differences(before, row),
            )
        )
        before = row
    return entries[::-1]


def _differences(before: Any, after: Any) -> tuple[Difference, ...]:
    found = []
    for field, label in _FIELDS.items():
        old, new = _text(before, field), _text(after, field)
        if old != new:
            found.append(Difference(label, old, new))
    return tuple(found)


def _text(row: Any, field: str) -> str:
    if row is None:
        return ""
    value = getattr(row, field)
    if field == "level":
        return str(PermissionLevel(value).label)
    if field == "scope":
        return str(Scope.of(value))
    return str(value) if value is not None else ""
