"""What workers do for sign-in."""

import structlog
from celery import shared_task
from django.core.management import call_command

from accounts import retention, session_index

logger = structlog.stdlib.get_logger("accounts.tasks")


@shared_task(name="accounts.tasks.prune_audit")  # type: ignore[misc, unused-ignore]
def prune_audit() -> None:
    """Remove audit events past their retention, once a day."""
    logger.info("audit_pruned_by_age", events=retention.prune_audit())


@shared_task(name="accounts.tasks.clear_sessions")  # type: ignore[misc, unused-ignore]
def clear_sessions() -> None:
    """Delete sessions that have ended, and what is remembered of them, once an hour."""
    call_command("clearsessions")
    logger.info("sessions_cleared", forgotten=session_index.tidy())
