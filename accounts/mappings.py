"""Which group gives which level on which rows: reads, and the only way to change them.

Changes, the mappings' new version, their history and their audit events commit together, so that
every session derives its permission anew at its next request.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts import audit
from accounts.grants import Mappings
from accounts.levels import PermissionLevel
from accounts.models import AuditEvent, GroupMapping, MappingsVersion, User
from accounts.scopes import Scope

__all__ = [
    "Change",
    "LastAdminMapping",
    "MappingValues",
    "Mappings",
    "apply",
    "collect",
    "create_mapping",
    "current_version",
    "delete_mappings",
    "load",
    "today",
    "update_mapping",
]


class LastAdminMapping(Exception):
    """The change would leave no group that lets administrators in for good."""

    def __init__(self) -> None:
        super().__init__(
            "This would leave no ADMIN mapping without an expiry date, and sooner or later nobody"
            " could change a mapping again. Map another group to ADMIN first. (The break-glass"
            " superuser may do it, by confirming.)"
        )


@dataclass(frozen=True, slots=True)
class MappingValues:
    """What a mapping says. ``scope`` None: all rows; else sub account ids, at least one."""

    group_oid: UUID
    level: PermissionLevel
    display_name: str = ""
    scope: tuple[str, ...] | None = None
    expires_on: date | None = None
    note: str = ""

    @classmethod
    def of(cls, mapping: GroupMapping) -> "MappingValues":
        """Return what ``mapping`` says."""
        return cls(
            group_oid=mapping.group_oid,
            level=PermissionLevel(mapping.level),
            display_name=mapping.display_name,
            scope=None if mapping.scope is None else tuple(mapping.scope),
            expires_on=mapping.expires_on,
            note=mapping.note,
        )

    def facts(self) -> dict[str, Any]:
        """Return them made of JSON's types."""
        return {
            "group_oid": str(self.group_oid),
            "level": self.level.name,
            "display_name": self.display_name,
            "scope": None if self.scope is None else list(self.scope),
            "expires_on": self.expires_on.isoformat() if self.expires_on else None,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """One mapping's change: ``before`` None adds one, ``after`` None removes one."""

    before: GroupMapping | None
    after: MappingValues | None


def today() -> date:
    """Return the day by which expiry is judged: that of UTC."""
    return datetime.now(UTC).date()


def load() -> Mappings:
    """Read them all. The version is read first: a change in between is then seen once more."""
    version = MappingsVersion.current()
    return collect(GroupMapping.objects.all(), version=version, day=today())


def collect(rows: Iterable[GroupMapping], *, version: int, day: date) -> Mappings:
    """Return those of ``rows`` that count on ``day``."""
    rows = list(rows)
    live = [row for row in rows if row.counts_on(day)]
    return Mappings(
        version=version,
        levels={str(row.group_oid): PermissionLevel(row.level) for row in live},
        scopes={str(row.group_oid): Scope.of(row.scope) for row in live if row.scope is not None},
        scopes_in_use=any(row.scope is not None for row in rows),
        day=day,
    )


def current_version() -> int:
    """Return the version that ``load`` would return. One read by primary key."""
    return MappingsVersion.current()


@transaction.atomic
def apply(
    changes: Sequence[Change],
    *,
    actor: User | None = None,
    why: str = "",
    confirmed: bool = False,
) -> list[GroupMapping]:
    """Make all ``changes`` or none, and return the mappings that were added or changed.

    ``actor`` is None where no person acts (a command). ``confirmed`` counts for the break-glass
    superuser only. Raises ``LastAdminMapping``, ``IntegrityError`` for a group mapped already, and
    ``DoesNotExist`` for a mapping that vanished meanwhile.
    """
    # The version's row first: of two administrators at once, one waits for the other.
    MappingsVersion.bump()
    had_admins = _admins_for_good()
    saved = [_make(change, actor, why) for change in changes]
    may_lock_out = confirmed and actor is not None and actor.is_break_glass
    if had_admins and not _admins_for_good() and not may_lock_out:
        raise LastAdminMapping
    return [mapping for mapping in saved if mapping is not None]


def create_mapping(
    *,
    group_oid: UUID,
    level: PermissionLevel,
    display_name: str = "",
    scope: Iterable[str] | None = None,
    expires_on: date | None = None,
    note: str = "",
    actor: User | None = None,
    why: str = "",
) -> GroupMapping:
    """Add one. Raises ``IntegrityError`` for a group that is mapped already."""
    wanted = None if scope is None else tuple(scope)
    values = MappingValues(group_oid, level, display_name, wanted, expires_on, note)
    return apply([Change(None, values)], actor=actor, why=why)[0]


def update_mapping(
    mapping: GroupMapping, values: MappingValues, *, actor: User | None = None, why: str = ""
) -> GroupMapping:
    """Give ``mapping`` these values. Raises what ``apply`` raises."""
    return apply([Change(mapping, values)], actor=actor, why=why)[0]


def delete_mappings(
    mappings: Iterable[GroupMapping],
    *,
    actor: User | None = None,
    why: str = "",
    confirmed: bool = False,
) -> None:
    """Remove these. Who held a level through them only, loses it at the next request."""
    changes = [Change(mapping, None) for mapping in mappings]
    apply(changes, actor=actor, why=why, confirmed=confirmed)


def _admins_for_good() -> bool:
    admins = GroupMapping.objects.filter(level=PermissionLevel.ADMIN, expires_on=None)
    return admins.exists()


def _make(change: Change, actor: User | None, why: str) -> GroupMapping | None:
    if change.before is None:
        mapping, before = GroupMapping(), None
    else:
        mapping = GroupMapping.objects.select_for_update().get(pk=change.before.pk)
        before = MappingValues.of(mapping).facts()
    # Who and why, for the history's row; its library reads them from the instance.
    vars(mapping).update(_history_user=actor, _change_reason=why)
    if change.after is None:
        _record(AuditEvent.Kind.MAPPING_DELETED, mapping.group_oid, actor, why, before, None)
        mapping.delete()
        return None
    values = change.after
    if values.scope is not None and not values.scope:
        raise ValueError("A scope names one sub account at least; None stands for all rows.")
    mapping.group_oid, mapping.level = values.group_oid, values.level
    mapping.display_name, mapping.note = values.display_name, values.note
    mapping.scope = Scope.of(values.scope).to_list()
    mapping.expires_on = values.expires_on
    mapping.save()
    added = before is None
    kind = AuditEvent.Kind.MAPPING_CREATED if added else AuditEvent.Kind.MAPPING_CHANGED
    _record(kind, mapping.group_oid, actor, why, before, MappingValues.of(mapping).facts())
    return mapping


def _record(
    kind: AuditEvent.Kind,
    group_oid: UUID,
    actor: User | None,
    why: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    audit.log_change(
        kind,
        actor_oid=str(actor.oid or "") if actor else "",
        actor_name=actor.get_full_name() if actor else "",
        resource=f"group:{group_oid}",
        details={"before": before, "after": after, "why": why},
    )
