"""Why somebody may do what they may: every fact and rule behind it."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts import mappings, recheck
from accounts.grants import canonical_oid, derive
from accounts.graph import GraphError, GraphUserGone, graph_client
from accounts.mappings import MappingValues
from accounts.models import GroupMapping, User
from accounts.preview import describe


@dataclass(frozen=True)
class Match:
    """A mapping of one of the person's groups, and whether it counts today."""

    group_oid: str
    name: str
    level: str
    sub_accounts: list[str] | None
    expires_on: str | None
    counts: bool


@dataclass(frozen=True)
class Explanation:
    """What is known of a person, and what follows from it now."""

    oid: str
    name: str
    email: str
    active: bool
    last_sign_in: datetime | None
    claims: dict[str, Any]  # of the ID token of the latest sign-in
    group_overage: bool
    group_oids: list[str]
    fetched_at: datetime | None
    fresh: bool
    sessions_valid_from: datetime | None
    matches: list[Match]
    mappings_version: int
    level: str | None  # None: no access
    holds: list[str]
    notes: list[str]

    @property
    def age(self) -> timedelta | None:
        """How long ago Graph told the groups."""
        return timezone.now() - self.fetched_at if self.fetched_at else None

    def to_json(self) -> dict[str, Any]:
        """Return it made of JSON's types; the age in seconds."""
        facts = asdict(self)
        for name in ("last_sign_in", "fetched_at", "sessions_valid_from"):
            value: datetime | None = facts[name]
            facts[name] = value.isoformat() if value else None
        return {**facts, "age_seconds": self.age.total_seconds() if self.age else None}


class UnknownUser(LookupError):
    """Nobody is known by that object id or name. The message says what to do."""


def find_user(text: str) -> User:
    """Return the person with this object id, e-mail address or user principal name.

    Raises ``UnknownUser``.
    """
    try:
        wanted = Q(oid=canonical_oid(text))
    except ValueError:
        wanted = Q(email__iexact=text) | Q(claims__preferred_username__iexact=text)
    found = list(User.objects.filter(wanted, oid__isnull=False)[:2])
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownUser(f"Several people are called {text!r}: name the object id.")
    raise UnknownUser(
        f"Nobody known is called {text!r}. People are known from their first sign-in on; the"
        " object id is in the Entra admin centre, under Users."
    )


def refresh(user: User) -> str:
    """Ask Graph for the person's groups now, keep them, and say what came of it."""
    try:
        membership = graph_client().membership(str(user.oid))
    except GraphUserGone:
        return "The directory has no such person any more."
    except GraphError as error:
        return f"Graph did not tell: {type(error).__name__}: {error}"
    if not membership.enabled:
        return "The account is disabled in Entra ID; the groups are kept as they were."
    recheck.keep(user, membership)
    return f"Graph told {len(membership.group_oids)} groups just now."


def explain_user(user: User) -> Explanation:
    """Explain what ``user`` may do at the next request. Asks nobody."""
    known = mappings.load()
    permission = derive(str(user.oid), user.group_oids, known)
    refused = settings.ENTRA_REQUIRE_MAPPED_GROUP and not permission.group_oids
    fresh = not recheck.is_old(user.groups_fetched_at)
    holder = None if refused or not user.is_active else permission
    return Explanation(
        oid=str(user.oid),
        name=user.get_full_name(),
        email=user.email,
        active=user.is_active,
        last_sign_in=user.last_login,
        claims=user.claims,
        group_overage=bool(user.claims.get("group_overage")),
        group_oids=list(user.group_oids),
        fetched_at=user.groups_fetched_at,
        fresh=fresh,
        sessions_valid_from=user.sessions_valid_from,
        matches=_matches(user),
        mappings_version=known.version,
        level=holder.permission_level.name if holder else None,
        holds=describe(holder),
        notes=list(_notes(user, fresh=fresh, mapped=bool(permission.group_oids))),
    )


def _matches(user: User) -> list[Match]:
    day = mappings.today()
    found = []
    for row in GroupMapping.objects.filter(group_oid__in=user.group_oids):
        facts = MappingValues.of(row).facts()
        found.append(
            Match(
                facts["group_oid"],
                facts["display_name"],
                facts["level"],
                facts["scope"],
                facts["expires_on"],
                row.counts_on(day),
            )
        )
    return found


def _notes(user: User, *, fresh: bool, mapped: bool) -> list[str]:
    notes = []
    if not user.is_active:
        notes.append("Locked out here: an administrator has set the account inactive.")
    if user.groups_fetched_at is None:
        notes.append("Groups are not known: Graph has never told. Nothing is shown until it does.")
    elif not fresh:
        notes.append(
            "Groups are older than ENTRA_GROUPS_MAX_AGE: the next request asks Graph again. If it"
            " does not answer, the level is VIEWER and the rows stay the ones last known."
        )
    if not mapped and settings.ENTRA_REQUIRE_MAPPED_GROUP:
        notes.append("No group is mapped, and ENTRA_REQUIRE_MAPPED_GROUP denies access then.")
    elif not mapped:
        notes.append("No group is mapped: a VIEWER, of the rows that ENTRA_DEFAULT_SCOPE gives.")
    if user.claims.get("group_overage"):
        notes.append(
            "The ID token left its groups out, as there are too many (overage). That changes"
            " nothing here: groups come from Graph."
        )
    return notes
