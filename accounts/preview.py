"""What a change of the mappings would do to the people who are known, before it is made."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings

from accounts.grants import Mappings, UserPermission, derive
from accounts.levels import PermissionLevel
from accounts.mappings import Change, collect, today
from accounts.models import GroupMapping, MappingsVersion, User
from accounts.scopes import Scope


class Direction(StrEnum):
    """Whether somebody holds more afterwards, or less, or some of each."""

    GAINS = "gains"
    LOSES = "loses"
    CHANGES = "changes"


@dataclass(frozen=True)
class Effect:
    """What one person holds before and after. None: no access at all."""

    person: User
    before: UserPermission | None
    after: UserPermission | None

    @property
    def direction(self) -> Direction:
        """Whether the person gains or loses."""
        if _covers(self.after, self.before):
            return Direction.GAINS
        return Direction.LOSES if _covers(self.before, self.after) else Direction.CHANGES

    @property
    def held(self) -> list[str]:
        """What the person holds now, as lines of text."""
        return describe(self.before)

    @property
    def would_hold(self) -> list[str]:
        """What the person would hold, as lines of text."""
        return describe(self.after)


@dataclass(frozen=True)
class Preview:
    """The outcome of changes that nobody has made yet, as of the mappings' ``version``."""

    version: int
    changes: tuple[Change, ...]
    effects: tuple[Effect, ...]
    people: int  # how many are known
    locks_out: bool  # no ADMIN mapping would stay for good, and one does now


def preview(changes: Sequence[Change]) -> Preview:
    """Work out what ``changes`` would do. Writes nothing."""
    version, day = MappingsVersion.current(), today()
    rows = list(GroupMapping.objects.all())
    changed = list(_applied(rows, changes))
    before = collect(rows, version=version, day=day)
    after = collect(changed, version=version, day=day)
    people = User.objects.filter(oid__isnull=False, is_active=True).order_by("display_name", "pk")
    effects, count = [], 0
    for person in people.iterator():
        count += 1
        effect = Effect(person, _holds(person, before), _holds(person, after))
        if _rights(effect.before) != _rights(effect.after):
            effects.append(effect)
    return Preview(
        version=version,
        changes=tuple(changes),
        effects=tuple(effects),
        people=count,
        locks_out=_admins_for_good(rows) and not _admins_for_good(changed),
    )


def describe(permission: UserPermission | None) -> list[str]:
    """Say what is held, highest level first; a lower level only where it shows more rows."""
    if permission is None:
        return ["no access"]
    lines: list[str] = []
    shown: Scope | None = None
    for level in sorted(PermissionLevel, reverse=True):
        scope = permission.scope_for(level)
        if permission.allows(level) and scope != shown:
            lines.append(f"{level.label}: {scope}")
            shown = scope
    return lines


def _applied(rows: Iterable[GroupMapping], changes: Iterable[Change]) -> Iterator[GroupMapping]:
    replaced = {change.before.pk for change in changes if change.before is not None}
    yield from (row for row in rows if row.pk not in replaced)
    for change in changes:
        if change.after is not None:
            values = change.after
            yield GroupMapping(
                group_oid=values.group_oid,
                level=values.level,
                scope=Scope.of(values.scope).to_list(),
                expires_on=values.expires_on,
            )


def _holds(person: User, mappings: Mappings) -> UserPermission | None:
    permission = derive(str(person.oid), person.group_oids, mappings)
    if not permission.group_oids and settings.ENTRA_REQUIRE_MAPPED_GROUP:
        return None
    return permission


def _rights(permission: UserPermission | None) -> list[Scope | None]:
    """What each level shows; None for a level that is not reached."""
    return [
        permission.scope_for(level) if permission is not None and permission.allows(level) else None
        for level in PermissionLevel
    ]


def _covers(more: UserPermission | None, less: UserPermission | None) -> bool:
    """Return whether whoever holds ``more`` may do all that ``less`` allows."""
    pairs = zip(_rights(more), _rights(less), strict=True)
    return all(
        lower is None or (higher is not None and (higher | lower) == higher)
        for higher, lower in pairs
    )


def _admins_for_good(rows: Iterable[GroupMapping]) -> bool:
    return any(row.level == PermissionLevel.ADMIN and row.expires_on is None for row in rows)
