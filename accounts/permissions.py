"""From groups to a permission: highest mapped level wins, an edit counts at the next request.

Groups are facts, kept on the ``User`` as Graph last told. The permission is derived from them and
the mappings, kept in the session together with what it was derived from, and derived anew when any
of that moved. When Graph cannot be asked, the answer is a VIEWER of what the person was last known
to see (or, where a mapped group is required, "try again"): never an older, higher level.
"""

import time
from collections.abc import Iterable
from typing import Any, Final

import structlog
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase

from accounts import mappings as stored_mappings
from accounts import recheck
from accounts.grants import Grant, UserPermission, break_glass, derive, lowered
from accounts.graph import GraphError, GraphUserGone, GroupSource, Membership
from accounts.levels import PermissionLevel
from accounts.mappings import Mappings
from accounts.models import User
from accounts.reasons import Reason, Refused

__all__ = ["Grant", "PermissionLevel", "PermissionService", "UserPermission", "keep_groups"]

logger = structlog.stdlib.get_logger("accounts.permissions")

SESSION_PERMISSION_KEY: Final = "user_permission"
_BASIS_KEY: Final = "user_permission_basis"
_FAILED_KEY: Final = "groups_failed_at"
SIGNED_IN_KEY: Final = "signed_in_at"
RETRY_AFTER = 30.0  # seconds between two attempts of one session to ask a Graph that failed

keep_groups = recheck.keep


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
        permission = derive(user_oid, group_oids, self._known_mappings())
        if not permission.group_oids and settings.ENTRA_REQUIRE_MAPPED_GROUP:
            raise Refused(Reason.NO_MAPPED_GROUP)
        return permission

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
            self._unknown()
            return None
        self._session.pop(_FAILED_KEY, None)
        if not membership.enabled:
            raise Refused(Reason.ACCOUNT_DISABLED)
        return membership

    def determine_user_permission(self, user_oid: str) -> UserPermission:
        """Ask Graph and derive the permission: VIEWER when it cannot tell. Raises ``Refused``."""
        membership = self.ask_membership(user_oid)
        if membership is None:
            return UserPermission(user_oid, PermissionLevel.VIEWER)
        return self.permission_from(user_oid, membership.group_oids)

    # --- a request --------------------------------------------------------------------------------

    def current_permission(self, user: User) -> UserPermission:
        """Return what ``user`` may do now. One indexed read, unless something moved.

        Raises ``Refused``.
        """
        if user.oid is None:
            if user.is_break_glass and settings.BREAK_GLASS_SIGN_IN:
                return break_glass()
            raise Refused(Reason.ACCOUNT_LOCAL)
        if recheck.is_old(user.groups_fetched_at) and not self._refresh(user):
            return self._last_known(user)
        self._require_valid_session(user)
        basis = _basis(stored_mappings.current_version(), user)
        if self._session.get(_BASIS_KEY) == basis:
            cached = self.get_cached_permission()
            if cached is not None and cached.user_oid == str(user.oid):
                return cached
        permission = self.permission_from(str(user.oid), user.group_oids)
        self.cache_permission(permission)
        self._session[_BASIS_KEY] = _basis(self._known_mappings().version, user)
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
            return self._unknown()
        if not recheck.claim(user):
            return recheck.wait(user) or self._unknown()
        try:
            membership = self.ask_membership(str(user.oid))
        except BaseException:
            recheck.release(user)
            raise
        if membership is None:
            recheck.release(user)
            return False
        recheck.keep(user, membership)
        return True

    def _last_known(self, user: User) -> UserPermission:
        """Return the least that is known: no level above VIEWER, no row that was not shown."""
        if user.groups_fetched_at is None:
            return UserPermission(str(user.oid), PermissionLevel.VIEWER)
        self._require_valid_session(user)
        return lowered(derive(str(user.oid), user.group_oids, self._known_mappings()))

    def _require_valid_session(self, user: User) -> None:
        """Refuse a session that began before the sessions were revoked.

        The fact is the person's, so it holds whichever of the person's sessions asked Graph.
        """
        valid_from = user.sessions_valid_from
        if valid_from and valid_from.timestamp() > self._session.get(SIGNED_IN_KEY, 0):
            raise Refused(Reason.SESSIONS_REVOKED)

    @staticmethod
    def _unknown() -> bool:
        """Return False, and that only where people may go on without a mapped group."""
        if settings.ENTRA_REQUIRE_MAPPED_GROUP:
            raise Refused(Reason.GROUPS_UNKNOWN)
        return False

    def _known_mappings(self) -> Mappings:
        if self._mappings is None:
            self._mappings = stored_mappings.load()
        return self._mappings


def _basis(version: int, user: User) -> list[Any]:
    """Return what a permission rests on, made of JSON's types: mappings, groups, day and settings.

    The day is part of it as mappings expire by day.
    """
    fetched_at = user.groups_fetched_at.isoformat() if user.groups_fetched_at else None
    return [
        version,
        fetched_at,
        stored_mappings.today().isoformat(),
        list(settings.ENTRA_DEFAULT_SCOPE),
        settings.ENTRA_REQUIRE_MAPPED_GROUP,
    ]
