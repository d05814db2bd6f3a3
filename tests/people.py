"""People and their levels, for tests that need somebody signed in without a sign-in."""

from uuid import UUID, uuid4

from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.levels import PermissionLevel
from accounts.mappings import create_mapping
from accounts.models import GroupMapping, User
from tests import signed_in  # noqa: F401 - importing it lets sessions follow a token

GROUPS = {level: UUID(int=0xFEED_0000 + level) for level in PermissionLevel}


def new_person(level: PermissionLevel | None, *, name: str = "Ada Lindgren") -> User:
    """A person whose groups were fetched just now and give ``level``; None: no group at all."""
    oid = uuid4()
    groups = []
    if level is not None:
        groups = [str(GROUPS[level])]
        if not GroupMapping.objects.filter(group_oid=GROUPS[level]).exists():
            create_mapping(group_oid=GROUPS[level], level=level, display_name=level.label)
    person = User(
        username=f"{settings.ENTRA_TENANT_ID}.{oid}",
        tid=settings.ENTRA_TENANT_ID,
        oid=oid,
        display_name=name,
        email=f"{oid}@nordwind.example",
        group_oids=groups,
        groups_fetched_at=timezone.now(),
    )
    person.set_unusable_password()
    person.save()
    return person


def sign_in_as(
    client: Client, level: PermissionLevel | None, *, name: str = "Ada Lindgren"
) -> User:
    """Sign a new person of this level in to ``client`` and return them."""
    person = new_person(level, name=name)
    client.force_login(person)
    return person
