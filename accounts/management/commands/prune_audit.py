"""``manage.py prune_audit``."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts import retention
from accounts.models import AppendOnlyError


class Command(BaseCommand):
    """Removes old audit events now; a worker does it once a day."""

    help = "Remove audit events that are older than AUDIT_RETENTION_DAYS."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Remove them and say how many."""
        try:
            count = retention.prune_audit()
        except AppendOnlyError as error:
            raise CommandError(
                f"AUDIT_RETENTION_DAYS is {settings.AUDIT_RETENTION_DAYS}. {error}"
            ) from None
        days = settings.AUDIT_RETENTION_DAYS
        self.stdout.write(f"Removed {count:,} audit events older than {days} days.")
