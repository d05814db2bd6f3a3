"""The emergency door: a local superuser who signs in to the admin by password.

Closed unless ``BREAK_GLASS_SIGN_IN`` is true. It opens for local superusers only, slows guessing
down, and every use of it is in the audit log.
"""

from datetime import timedelta
from typing import Any, Final

import structlog
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from accounts import audit
from accounts.levels import PermissionLevel
from accounts.models import AuditEvent, User
from accounts.rate_limits import is_within
from accounts.reasons import Reason

logger = structlog.stdlib.get_logger("accounts.breakglass")

WINDOW: Final = timedelta(minutes=15)
MAX_FAILURES_PER_ADDRESS: Final = 5
MAX_FAILURES: Final = 50
MAX_ATTEMPTS_PER_MINUTE: Final = 10


class BreakGlassBackend(ModelBackend):
    """Checks the password of a local superuser."""

    @sensitive_variables("password")
    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **_other: Any,
    ) -> User | None:
        """Return the superuser; None, after recording it, for anybody else and when closed."""
        if not settings.BREAK_GLASS_SIGN_IN or request is None or not username or not password:
            return None
        # Counted before the slow look at the password, so that guesses at once do not slip through.
        within = is_within("break-glass", request, per_address=MAX_ATTEMPTS_PER_MINUTE)
        if not within or _too_many_failures():
            logger.warning("break_glass_locked")
            return None
        user = super().authenticate(request, username=username, password=password)
        if isinstance(user, User) and user.is_break_glass:
            audit.log_auth_event(user.get_username(), "", PermissionLevel.ADMIN, method="password")
            return user
        audit.log_auth_failure(Reason.PASSWORD_REFUSED, method="password")
        return None

    def get_user(self, user_id: Any) -> User | None:
        """Return the active local superuser; closing the door ends the sessions behind it."""
        user = super().get_user(user_id)
        is_allowed = isinstance(user, User) and user.is_break_glass and settings.BREAK_GLASS_SIGN_IN
        return user if is_allowed and isinstance(user, User) else None


def _too_many_failures() -> bool:
    failures = AuditEvent.objects.filter(
        kind=AuditEvent.Kind.SIGN_IN_REFUSED,
        reason=Reason.PASSWORD_REFUSED.value,
        at__gt=timezone.now() - WINDOW,
    )
    address = structlog.contextvars.get_contextvars().get("ip")
    from_here = failures.filter(ip=address).count()
    return from_here >= MAX_FAILURES_PER_ADDRESS or failures.count() >= MAX_FAILURES
