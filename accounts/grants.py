"""What a person holds, derived from two facts: the person's groups, and the mappings.

Here is the one rule. The guard, the preview of a change and the diagnosis all ask it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from accounts.levels import PermissionLevel
from accounts.scopes import ALL, Scope, default_scope, union


@dataclass(frozen=True, slots=True)
class Grant:
    """A level, and the rows that it may be used on."""

    level: PermissionLevel
    scope: Scope


@dataclass(frozen=True)
class Mappings:
    """The mappings that count on ``day``, as of ``version``. Keys are canonical object ids."""

    version: int
    levels: Mapping[str, PermissionLevel]
    scopes: Mapping[str, Scope] = field(default_factory=dict)  # of the scoped ones
    # Expired ones count here: an expiry must show nobody more than before.
    scopes_in_use: bool = False
    day: date | None = None

    def grant(self, group_oid: str) -> Grant:
        """Return what the group gives. Raises ``KeyError`` for one that is not mapped."""
        return Grant(self.levels[group_oid], self.scopes.get(group_oid, ALL))


@dataclass(frozen=True)
class UserPermission:
    """What one person may do. ``group_oids`` are those of the person's groups that are mapped."""

    user_oid: str
    permission_level: PermissionLevel
    group_oids: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()

    def allows(self, required: PermissionLevel) -> bool:
        """Return whether this level reaches ``required``."""
        return self.permission_level >= required

    def scope_for(self, required: PermissionLevel) -> Scope:
        """Return the rows that a page which requires ``required`` may show.

        It is the union over the grants that reach that level; without one, nothing.
        """
        return union(grant.scope for grant in self.grants if grant.level >= required)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``from_dict`` reads, made of JSON's types."""
        return {
            "user_oid": self.user_oid,
            "permission_level": int(self.permission_level),
            "group_oids": list(self.group_oids),
            "grants": [[int(grant.level), grant.scope.to_list()] for grant in self.grants],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "UserPermission":
        """Read back ``to_dict``. Raises ``ValueError`` for anything else: nothing is guessed."""
        try:
            user_oid, level = data["user_oid"], data["permission_level"]
            groups, grants = data["group_oids"], data["grants"]
            valid = (
                isinstance(user_oid, str)
                and isinstance(level, int)
                and not isinstance(level, bool)
                and isinstance(groups, list)
                and all(isinstance(group, str) for group in groups)
            )
            if valid:
                found = tuple(_grant(one) for one in grants)
                return cls(user_oid, PermissionLevel(level), tuple(groups), found)
        except (KeyError, TypeError, ValueError):
            pass
        raise ValueError("This is no stored permission.")


def derive(user_oid: str, group_oids: Iterable[str], mappings: Mappings) -> UserPermission:
    """Return what a person in exactly these groups holds under ``mappings``.

    The highest level wins. Who is in no mapped group is a VIEWER of the default scope.
    """
    canonical = {oid.lower() for oid in group_oids}
    mapped = tuple(sorted(oid for oid in canonical if oid in mappings.levels))
    if not mapped:
        unmapped = Grant(
            PermissionLevel.VIEWER, default_scope(scopes_in_use=mappings.scopes_in_use)
        )
        return UserPermission(user_oid, PermissionLevel.VIEWER, (), (unmapped,))
    grants = _merged(mappings.grant(oid) for oid in mapped)
    return UserPermission(user_oid, max(grant.level for grant in grants), mapped, grants)


def lowered(permission: UserPermission) -> UserPermission:
    """Return ``permission`` as a VIEWER's, with the rows that it showed: nothing more is known."""
    grant = Grant(PermissionLevel.VIEWER, permission.scope_for(PermissionLevel.VIEWER))
    return UserPermission(
        permission.user_oid, PermissionLevel.VIEWER, permission.group_oids, (grant,)
    )


def break_glass() -> UserPermission:
    """Return what the local superuser holds: everything."""
    return UserPermission("", PermissionLevel.ADMIN, (), (Grant(PermissionLevel.ADMIN, ALL),))


def canonical_oid(text: str) -> UUID:
    """Return a group's object id, whatever its case, braces and blanks. Raises ``ValueError``."""
    try:
        oid = UUID(text.strip().strip("{}"))
    except ValueError:
        raise ValueError(f"{text!r} is not an object id (a GUID).") from None
    if oid.int == 0:
        raise ValueError("The nil GUID is no group.")
    return oid


def _merged(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """One grant a level, highest first: ten groups of one level need no ten entries."""
    found: dict[PermissionLevel, Scope] = {}
    for grant in grants:
        known = found.get(grant.level)
        found[grant.level] = grant.scope if known is None else known | grant.scope
    return tuple(Grant(level, found[level]) for level in sorted(found, reverse=True))


def _grant(data: object) -> Grant:
    level, sub_accounts = data if isinstance(data, list) else (None, None)
    if isinstance(level, bool) or not isinstance(level, int):
        raise TypeError("a grant without a level")
    if sub_accounts is not None and not all(isinstance(one, str) for one in sub_accounts):
        raise TypeError("a sub account that is no text")
    if sub_accounts is not None and not isinstance(sub_accounts, list):
        raise TypeError("a scope that is no list")
    return Grant(PermissionLevel(level), Scope.of(sub_accounts))
