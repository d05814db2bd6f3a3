"""The made-up company "Nordwind Robotics": its tenant, people and groups.

The constants are what the demo and the tests are configured with. ``Directory`` is the part that
changes while the fake runs: a control call may disable a person or change their groups.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import UUID, uuid5

COMPANY = "Nordwind Robotics"
TENANT_ID = "7a1f0c52-3c1d-4d86-9b53-6f0f9d1c2e11"
HOME_TENANT_OF_GUESTS = "c41d5d0b-52f8-4f0e-8d7a-3b1f6a9e7702"
WEB_CLIENT_ID = "5b2e8a4e-90d7-4a3b-8a6f-21c5f0b7a9d3"
WEB_OID = "e0c55b8f-1c60-4f35-a7c9-5f4b1f6d2a10"
WEB_CLIENT_SECRET = "made-up~sandbox.secret-of-Nordwind"  # noqa: S105 - opens nothing but this fake
REPLICATOR_CLIENT_ID = "c9a4d7c1-6a1e-4d9b-b0de-7f3f4c8e5b26"
REPLICATOR_OID = "3f8b6a52-2d47-4c1a-9e65-d0a7b4c9f813"

GROUP_ADMIN = "9d0c1a7e-51b2-4c8f-8a11-0f6f3f4f2a01"
GROUP_ANALYST = "9d0c1a7e-51b2-4c8f-8a11-0f6f3f4f2a02"
GROUP_VIEWER = "9d0c1a7e-51b2-4c8f-8a11-0f6f3f4f2a03"
GROUP_DATA_PLATFORM = "9d0c1a7e-51b2-4c8f-8a11-0f6f3f4f2a04"  # inside the analysts' group
GROUP_DATA_PLATFORM_BERLIN = "9d0c1a7e-51b2-4c8f-8a11-0f6f3f4f2a05"  # inside the group above

# Finn's groups: more than one page of any size. The one that matters stands on the last page, so
# that a client which reads only the first pages is found out.
MANY_GROUPS = 2500
_ANALYST_POSITION = 2310
_PROJECTS = UUID("0b7a6d7c-6a0b-4d0e-9a52-0d1a8f3f6c11")


@dataclass(frozen=True)
class Group:
    """A security group. ``parents`` are the groups that it is itself a direct member of."""

    id: str
    name: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Person:
    """A person. ``groups`` are direct memberships; ``sees`` is for the sign-in page."""

    key: str
    oid: str
    name: str
    upn: str
    email: str
    sees: str
    groups: tuple[str, ...] = ()
    guest: bool = False
    enabled: bool = True
    sessions_valid_from: datetime = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)

    @property
    def given_name(self) -> str:
        """The first of their names."""
        return self.name.split()[0]

    @property
    def surname(self) -> str:
        """The last of their names."""
        return self.name.split()[-1]


def _project_groups() -> tuple[Group, ...]:
    return tuple(
        Group(id=str(uuid5(_PROJECTS, str(n))), name=f"Project {n:04d}")
        for n in range(1, MANY_GROUPS)
    )


_PROJECT_GROUPS = _project_groups()
_FINNS_GROUPS = tuple(group.id for group in _PROJECT_GROUPS)

GROUPS: Mapping[str, Group] = MappingProxyType(
    {
        group.id: group
        for group in (
            Group(GROUP_ADMIN, "FinOps Administrators"),
            Group(GROUP_ANALYST, "FinOps Analysts"),
            Group(GROUP_VIEWER, "FinOps Viewers"),
            Group(GROUP_DATA_PLATFORM, "Data Platform", parents=(GROUP_ANALYST,)),
            Group(
                GROUP_DATA_PLATFORM_BERLIN, "Data Platform Berlin", parents=(GROUP_DATA_PLATFORM,)
            ),
            *_PROJECT_GROUPS,
        )
    }
)


def _person(
    key: str, number: int, name: str, sees: str, *groups: str, enabled: bool = True
) -> Person:
    address = f"{name.lower().replace(' ', '.').replace('ø', 'o')}@nordwind.example"
    return Person(
        key=key,
        oid=f"b6f3c2d0-7e14-4a5b-9c80-{number:012d}",
        name=name,
        upn=address,
        email=address,
        sees=sees,
        groups=groups,
        enabled=enabled,
    )


PEOPLE: Mapping[str, Person] = MappingProxyType(
    {
        person.key: person
        for person in (
            _person("ada", 1, "Ada Lindgren", "Everything, and the admin", GROUP_ADMIN),
            _person("ben", 2, "Ben Okafor", "All costs, as an analyst", GROUP_ANALYST),
            _person("cleo", 3, "Cleo Marchetti", "The cost pages, as a viewer", GROUP_VIEWER),
            _person("dan", 4, "Dan Kowalski", "A viewer by default, in no group at all"),
            _person(
                "eva",
                5,
                "Eva Sørensen",
                "An analyst through nested groups",
                GROUP_DATA_PLATFORM_BERLIN,
            ),
            _person(
                "finn",
                6,
                "Finn Haraldsen",
                f"An analyst in one of {MANY_GROUPS:,} groups",
                *_FINNS_GROUPS[:_ANALYST_POSITION],
                GROUP_ANALYST,
                *_FINNS_GROUPS[_ANALYST_POSITION:],
            ),
            Person(
                key="gus",
                oid="b6f3c2d0-7e14-4a5b-9c80-000000000007",
                name="Gus Ferreira",
                upn="gus.ferreira_fabrikam.example#EXT#@nordwind.example",
                email="gus.ferreira@fabrikam.example",
                sees="A viewer, as a guest of another company",
                groups=(GROUP_VIEWER,),
                guest=True,
            ),
            _person(
                "hal",
                8,
                "Hal Whitfield",
                "Nothing: an administrator whose account is disabled",
                GROUP_ADMIN,
                enabled=False,
            ),
        )
    }
)


class UnknownPerson(LookupError):
    """No person of the tenant has this key, object id or user principal name."""


class Directory:
    """The people as they are now. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._people = dict(PEOPLE)

    def people(self) -> tuple[Person, ...]:
        """Everybody who is not deleted, in the order of ``PEOPLE``."""
        with self._lock:
            return tuple(self._people.values())

    def person(self, key: str) -> Person:
        """The person with this key. Raises ``UnknownPerson``."""
        with self._lock:
            if key not in self._people:
                raise UnknownPerson(
                    f"No person has the key {key!r}; there are {', '.join(self._people)}."
                )
            return self._people[key]

    def find(self, identifier: str) -> Person:
        """The person with this object id or user principal name. Raises ``UnknownPerson``."""
        wanted = identifier.casefold()
        for person in self.people():
            if wanted in (person.oid, person.upn.casefold()):
                return person
        raise UnknownPerson(f"No person has the object id or name {identifier!r}.")

    def set_enabled(self, key: str, *, enabled: bool) -> Person:
        """Enable or disable the account."""
        return self._store(replace(self.person(key), enabled=enabled))

    def set_groups(self, key: str, groups: Iterable[str]) -> Person:
        """Replace the direct memberships by ``groups``, ids that need not be known groups."""
        return self._store(replace(self.person(key), groups=tuple(dict.fromkeys(groups))))

    def revoke_sessions(self, key: str) -> Person:
        """Make every session that began before this moment invalid, as Graph reports it."""
        return self._store(replace(self.person(key), sessions_valid_from=datetime.now(UTC)))

    def delete(self, key: str) -> None:
        """Delete the person: Graph answers 404 for them from now on."""
        self.person(key)
        with self._lock:
            del self._people[key]

    def reset(self) -> None:
        """Everybody as in ``PEOPLE`` again."""
        with self._lock:
            self._people = dict(PEOPLE)

    def memberships(self, person: Person) -> tuple[Group, ...]:
        """The groups that hold ``person``, directly or through other groups, each once."""
        found: dict[str, Group] = {}
        waiting = list(reversed(person.groups))
        while waiting:
            group_id = waiting.pop()
            if group_id not in found:
                group = GROUPS.get(group_id) or Group(group_id, "A group made by a test")
                found[group_id] = group
                waiting.extend(group.parents)
        return tuple(found.values())

    def _store(self, person: Person) -> Person:
        with self._lock:
            self._people[person.key] = person
        return person
