"""Audit events leave by age, and that is an event too."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEvent


@transaction.atomic
def prune_audit() -> int:
    """Remove events older than ``AUDIT_RETENTION_DAYS`` and return how many.

    Raises ``AppendOnlyError`` where that is under 30 days.
    """
    before = timezone.now() - timedelta(days=settings.AUDIT_RETENTION_DAYS)
    count = AuditEvent.objects.prune(before)
    if count:
        audit.log_change(
            AuditEvent.Kind.AUDIT_PRUNED,
            actor_oid="",
            actor_name="",
            resource="audit",
            details={"events": count, "before": before.isoformat()},
        )
    return count
