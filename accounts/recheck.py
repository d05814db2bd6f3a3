"""A person's groups grow old and are asked for again: by one request, however many come at once.

The claim is a column of the person's row, so it holds across threads, processes and machines. It
runs out by itself, should the process that took it die.
"""

import time
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.graph import Membership
from accounts.models import User

_POLL: Final = 0.05  # seconds
_FACTS: Final = ["groups_fetched_at", "groups_claimed_until", "sessions_valid_from"]


def is_old(fetched_at: datetime | None) -> bool:
    """Return whether groups fetched then must be asked for again."""
    return fetched_at is None or timezone.now() - fetched_at > settings.ENTRA_GROUPS_MAX_AGE


def claim(user: User) -> bool:
    """Return whether it is this request that asks. Then ``keep`` or ``release`` must follow.

    False as well where somebody has asked since ``user`` was read.
    """
    now = timezone.now()
    nobody_asks = Q(groups_claimed_until=None) | Q(groups_claimed_until__lt=now)
    until = now + timedelta(seconds=settings.ENTRA_TIMEOUT + 2.0)
    unchanged = User.objects.filter(pk=user.pk, groups_fetched_at=user.groups_fetched_at)
    return bool(unchanged.filter(nobody_asks).update(groups_claimed_until=until))


def release(user: User) -> None:
    """Let another request ask."""
    User.objects.filter(pk=user.pk).update(groups_claimed_until=None)


def keep(user: User, membership: Membership) -> None:
    """Store the facts of ``membership``, which is of now, with ``user``."""
    user.group_oids = sorted(membership.group_oids)
    user.groups_fetched_at = timezone.now()
    user.sessions_valid_from = membership.sessions_valid_from
    user.groups_claimed_until = None
    user.save(update_fields=["group_oids", *_FACTS])


def wait(user: User) -> bool:
    """Wait for the request that asks; return whether the groups are fresh then."""
    deadline = time.monotonic() + settings.ENTRA_TIMEOUT
    while time.monotonic() < deadline:
        user.refresh_from_db(fields=_FACTS)
        claimed = user.groups_claimed_until
        if claimed is None or claimed < timezone.now():
            break
        time.sleep(_POLL)
    if is_old(user.groups_fetched_at):
        return False
    user.refresh_from_db(fields=["group_oids"])
    return True
