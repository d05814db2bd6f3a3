"""People who are signed in, without a sign-in."""

import uuid
from collections.abc import Iterable

from django.test import Client
from django.utils import timezone

from accounts.levels import PermissionLevel
from accounts.mappings import create_mapping
from accounts.models import User
from tests import signed_in  # noqa: F401 - importing it lets sessions follow a token
from tests.environment import TENANT_ID


def person(
    level: PermissionLevel = PermissionLevel.VIEWER,
    name: str = "Ada Lindqvist",
    scope: Iterable[str] | None = None,
) -> User:
    """Somebody whose one group, as Graph just told, is mapped to ``level``."""
    group = uuid.uuid4()
    create_mapping(group_oid=group, level=level, scope=scope)
    return User.objects.create(
        username=str(group),
        tid=TENANT_ID,
        oid=uuid.uuid4(),
        display_name=name,
        group_oids=[str(group)],
        groups_fetched_at=timezone.now(),
    )


def sign_in(client: Client, level: PermissionLevel = PermissionLevel.VIEWER) -> Client:
    client.force_login(person(level), backend="accounts.oidc.EntraBackend")
    return client
