"""Which group gives which level: reads, and the only way to change them.

A change, the mappings' new version and its audit event commit together, so that every session
derives its level anew at its next request.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from accounts import audit
from accounts.levels import PermissionLevel
from accounts.models import AuditEvent, GroupMapping, MappingsVersion, User


@dataclass(frozen=True)
class Mappings:
    """The mappings as of ``version``: group's object id (canonical, lower case) to level."""

    version: int
    levels: Mapping[str, PermissionLevel]


def load() -> Mappings:
    """Read them all. The version is read first: a change in between is then seen once more."""
    version = MappingsVersion.current()
    rows = GroupMapping.objects.values_list("group_oid", "level")
    return Mappings(version, {str(oid): PermissionLevel(level) for oid, level in rows})


def current_version() -> int:
    """Return the version that ``load`` would return. One read by primary key."""
    return MappingsVersion.current()


@transaction.atomic
def create_mapping(
    *,
    group_oid: UUID,
    level: PermissionLevel,
    display_name: str = "",
    note: str = "",
    actor: User | None = None,
) -> GroupMapping:
    """Add one. ``actor`` is None where no person acts (a command). Raises ``IntegrityError``."""
    mapping = GroupMapping.objects.create(
        group_oid=group_oid, level=level, display_name=display_name, note=note
    )
    _changed(AuditEvent.Kind.MAPPING_CREATED, mapping, actor, before=None, after=_facts(mapping))
    return mapping


@transaction.atomic
def update_mapping(
    mapping: GroupMapping,
    *,
    group_oid: UUID,
    level: PermissionLevel,
    display_name: str,
    note: str,
    actor: User | None = None,
) -> GroupMapping:
    """Give ``mapping`` these values. Raises ``DoesNotExist`` if it vanished meanwhile."""
    before = _facts(GroupMapping.objects.select_for_update().get(pk=mapping.pk))
    mapping.group_oid, mapping.level = group_oid, level
    mapping.display_name, mapping.note = display_name, note
    mapping.save()
    _changed(AuditEvent.Kind.MAPPING_CHANGED, mapping, actor, before, after=_facts(mapping))
    return mapping


@transaction.atomic
def delete_mappings(mappings: Iterable[GroupMapping], *, actor: User | None = None) -> None:
    """Remove these. Who held a level through them only, loses it at the next request."""
    for mapping in list(mappings):
        before = _facts(mapping)
        _changed(AuditEvent.Kind.MAPPING_DELETED, mapping, actor, before, after=None)
        mapping.delete()


def _facts(mapping: GroupMapping) -> dict[str, str]:
    return {
        "group_oid": str(mapping.group_oid),
        "level": PermissionLevel(mapping.level).name,
        "display_name": mapping.display_name,
        "note": mapping.note,
    }


def _changed(
    kind: AuditEvent.Kind,
    mapping: GroupMapping,
    actor: User | None,
    before: dict[str, str] | None,
    after: dict[str, str] | None,
) -> None:
    MappingsVersion.bump()
    audit.log_change(
        kind,
        actor_oid=str(actor.oid or "") if actor else "",
        actor_name=actor.get_full_name() if actor else "",
        resource=f"group:{mapping.group_oid}",
        details={"before": before, "after": after},
    )
