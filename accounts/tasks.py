"""What workers do for sign-in."""

import structlog
from celery import shared_task

from accounts import retention

logger = structlog.stdlib.get_logger("accounts.tasks")


@shared_task(name="accounts.tasks.prune_audit")  # type: ignore[misc, unused-ignore]
def prune_audit() -> None:
    """Remove audit events past their retention, once a day."""
    logger.info("audit_pruned_by_age", events=retention.prune_audit())
