"""From groups to a level: highest mapped level wins, and an edit counts at the next request.

Groups are facts, kept on the ``User`` as Graph last told. The level is derived from them and the
mappings, kept in the session together with what it was derived from, and derived anew when any of
that moved. When Graph cannot be asked, the answer is VIEWER (or, where a mapped group is required,
"try again"): never an older, higher level.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.utils import timezone

from accounts import mappings as stored_mappings
from accounts.graph import GraphError, GraphUserGone, GroupSource, Membership
from accounts.levels import PermissionLevel
from accounts.mappings import Mappings
from accounts.models import User
from accounts.reasons import Reason, Refused

__all__ = ["PermissionLevel", "PermissionService", "UserPermission"]

logger = structlog.stdlib.get_logger("accounts.permissions")

SESSION_PERMISSION_KEY: Final = "user_permission"
_BASIS_KEY: Final = "user_permission_basis"
_FAILED_KEY: Final = "groups_failed_at"
SIGNED_IN_KEY: Final = "signed_in_at"
RETRY_AFTER = 30.0  # seconds between two attempts of one session to ask a Graph that failed


@dataclass(frozen=True)
class UserPermission:
    """What one person may do. ``group_oids`` are those of the person's groups that are mapped."""

    user_oid: str
    permission_level: PermissionLevel
    group_oids: tuple[str, ...] = ()

    def allows(self, required: PermissionLevel) -> bool:
        """Return whether this level reaches ``required``."""
        return self.permission_level >= required

    def to_dict(self) -> dict[str, Any]:
        """Return what ``from_dict`` reads, made of JSON's types."""
        return {
            "user_oid": self.user_oid,
            "permission_level": int(self.permission_level),
            "group_oids": list(self.group_oids),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "UserPermission":
        """Read back ``to_dict``. Raises ``ValueError`` for anything else: nothing is guessed."""
        try:
            user_oid, groups = data["user_oid"], data["group_oids"]
            level = PermissionLevel.parse(data["permission_level"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a stored permission: {type(error).__name__}") from None
        strings = [user_oid, *groups] if isinstance(groups, list | tuple) else [None]
        if not all(isinstance(value, str) for value in strings):
            raise ValueError("not a stored permission: wrong types")
        return cls(user_oid, level, tuple(groups))


class PermissionService:
    """Determines and remembers permissions for one session."""

    def __init__(
        self, *, graph: GroupSource, session: SessionBase, mappings: Mappings | None = None
    ) -> None:
        self._graph = graph
        self._session = session
        self._mappings = mappings

    # --- rules ------------------------------------------------------------------------------------

    @staticmethod
    def resolve_highest_permission(levels: Iterable[PermissionLevel]) -> PermissionLevel:
        """Return the highest of ``levels``; VIEWER when there is none."""
        return max(levels, default=PermissionLevel.VIEWER)

    def map_groups_to_permission(self, group_oids: Iterable[str]) -> PermissionLevel:
        """Return the highest level that these groups give; VIEWER when none is mapped."""
        levels = self._known_mappings().levels
        return self.resolve_highest_permission(
            levels[oid.lower()] for oid in group_oids if oid.lower() in levels
        )

    def permission_from(self, user_oid: str, group_oids: Iterable[str]) -> UserPermission:
        """Derive the permission of a person who is in exactly these groups.

        Raises ``Refused`` (``no_mapped_group``) where a mapped group is required.
        """
        levels = self._known_mappings().levels
        mapped = tuple(sorted(oid for oid in group_oids if oid.lower() in levels))
        if not mapped and settings.ENTRA_REQUIRE_MAPPED_GROUP:
            raise Refused(Reason.NO_MAPPED_GROUP)
        return UserPermission(user_oid, self.map_groups_to_permission(mapped), mapped)

    # --- a sign-in --------------------------------------------------------------------------------

    def ask_membership(self, user_oid: str) -> Membership | None:
        """Ask Graph. None when it cannot tell and the person may go on as VIEWER.

        Raises ``Refused`` for a disabled or deleted account, and, where a mapped group is required,
        when Graph cannot tell.
        """
        try:
            membership = self._graph.membership(user_oid)
        except GraphUserGone:
            raise Refused(Reason.ACCOUNT_GONE) from None
        except GraphError as error:
            logger.warning("groups_unknown", oid=user_oid, error=f"{type(error).__name__}: {error}")
            self._session[_FAILED_KEY] = time.time()
            return self._unknown()
        self._session.pop(_FAILED_KEY, None)
        if not membership.enabled:
            raise Refused(Reason.ACCOUNT_DISABLED)
        return membership

    def determine_user_permission(self, user_oid: str) -> UserPermission:
        """Ask Graph and derive the permission: VIEWER when it cannot tell. Raises ``Refused``."""
        membership = self.ask_membership(user_oid)
        if membership is None:
            return _viewer(user_oid)
        return self.permission_from(user_oid, membership.group_oids)

    # --- a request --------------------------------------------------------------------------------

    def current_permission(self, user: User) -> UserPermission:
        """Return what ``user`` may do now. One indexed read, unless something moved.

        Raises ``Refused``.
        """
        if user.oid is None:
            if user.is_break_glass and settings.BREAK_GLASS_SIGN_IN:
                return UserPermission("", PermissionLevel.ADMIN)
            raise Refused(Reason.ACCOUNT_LOCAL)
        if _is_old(user.groups_fetched_at) and not self._refresh(user):
            return _viewer(str(user.oid))
        basis = [stored_mappings.current_version(), _stamp(user)]
        if self._session.get(_BASIS_KEY) == basis:
            cached = self.get_cached_permission()
            if cached is not None and cached.user_oid == str(user.oid):
                return cached
        permission = self.permission_from(str(user.oid), user.group_oids)
        self.cache_permission(permission)
        self._session[_BASIS_KEY] = [self._known_mappings().version, _stamp(user)]
        return permission

    def cache_permission(self, permission: UserPermission) -> None:
        """Keep ``permission`` in the session."""
        self._session[SESSION_PERMISSION_KEY] = permission.to_dict()

    def get_cached_permission(self) -> UserPermission | None:
        """Return what ``cache_permission`` kept.

        Raises ``Refused`` (``session_damaged``) when the session holds something else there.
        """
        data = self._session.get(SESSION_PERMISSION_KEY)
        if data is None:
            return None
        try:
            return UserPermission.from_dict(data)
        except ValueError:
            raise Refused(Reason.SESSION_DAMAGED) from None

    def _refresh(self, user: User) -> bool:
        """Ask Graph again and keep what it tells. False when it cannot tell."""
        failed_at = self._session.get(_FAILED_KEY)
        if isinstance(failed_at, float) and 0 <= time.time() - failed_at < RETRY_AFTER:
            # Not at every request: each would wait for the whole budget of a dead Graph.
            self._unknown()
            return False
        membership = self.ask_membership(str(user.oid))
        if membership is None:
            return False
        signed_in_at = self._session.get(SIGNED_IN_KEY, 0)
        valid_from = membership.sessions_valid_from
        if valid_from is not None and valid_from.timestamp() > signed_in_at:
            raise Refused(Reason.SESSIONS_REVOKED)
        keep_groups(user, membership)
        return True

    @staticmethod
    def _unknown() -> None:
        if settings.ENTRA_REQUIRE_MAPPED_GROUP:
            raise Refused(Reason.GROUPS_UNKNOWN)

    def _known_mappings(self) -> Mappings:
        if self._mappings is None:
            self._mappings = stored_mappings.load()
        return self._mappings


def keep_groups(user: User, membership: Membership) -> None:
    """Store the facts of ``membership``, which is of now, with ``user``."""
    user.group_oids = sorted(membership.group_oids)
    user.groups_fetched_at = timezone.now()
    user.save(update_fields=["group_oids", "groups_fetched_at"])


def _viewer(user_oid: str) -> UserPermission:
    return UserPermission(user_oid, PermissionLevel.VIEWER)


def _is_old(fetched_at: datetime | None) -> bool:
    return fetched_at is None or timezone.now() - fetched_at > settings.ENTRA_GROUPS_MAX_AGE


def _stamp(user: User) -> str | None:
    return user.groups_fetched_at.isoformat() if user.groups_fetched_at else None
