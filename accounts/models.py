"""People, the groups that give them a level, and the record of who signed in and changed what."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NoReturn

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from accounts.levels import PermissionLevel


class User(AbstractUser):
    """A person. ``tid`` and ``oid`` are the identity; names and addresses are for display only.

    An account without them is local: the break-glass superuser, who signs in by password.
    """

    # Entra gives one name, and splitting it would be a guess.
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]

    tid = models.UUIDField("tenant id", null=True, blank=True, editable=False)
    oid = models.UUIDField("object id", null=True, blank=True, editable=False)
    display_name = models.CharField(max_length=256, blank=True)
    # Every group as Microsoft Graph last told, and when: facts, from which levels are derived.
    group_oids = models.JSONField("groups", default=list, editable=False)
    groups_fetched_at = models.DateTimeField(
        "groups fetched", null=True, blank=True, editable=False
    )
    # Sessions begun before were revoked at Entra ID, as Graph last told.
    sessions_valid_from = models.DateTimeField(null=True, blank=True, editable=False)
    # Until then one request is asking Graph for this person, and others wait for what it learns.
    groups_claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    # What the ID token of the latest sign-in said: for diagnosis, nothing is decided by it.
    claims = models.JSONField("claims", default=dict, blank=True, editable=False)

    # Set for one request by the guard. The admin's permissions follow it, so it is never stored.
    level: PermissionLevel | None = None

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tid", "oid"], name="accounts_user_identity"),
            models.CheckConstraint(
                condition=Q(tid__isnull=True, oid__isnull=True)
                | Q(tid__isnull=False, oid__isnull=False),
                name="accounts_user_whole_identity",
            ),
            # The break-glass account must not be reachable through anybody's Entra sign-in.
            models.CheckConstraint(
                condition=Q(oid__isnull=True) | Q(is_superuser=False, is_staff=False),
                name="accounts_user_superuser_is_local",
            ),
        ]

    def __str__(self) -> str:
        return self.get_full_name()

    @property
    def is_break_glass(self) -> bool:
        """Whether this is the local superuser, who needs no Entra ID."""
        return self.oid is None and self.is_superuser

    def get_full_name(self) -> str:
        """Return what to call this person on a page."""
        return self.display_name or self.email or self.get_username()

    def get_short_name(self) -> str:
        """Return the same: a given name is not known."""
        return self.get_full_name()


class GroupMapping(models.Model):
    """Members of this Entra group hold this level. Changed through ``accounts.mappings`` only."""

    group_oid = models.UUIDField("group's object id", unique=True)
    display_name = models.CharField(
        "group's name", max_length=256, blank=True, help_text="For people; the object id decides."
    )
    level = models.PositiveSmallIntegerField(choices=PermissionLevel.choices)
    # Null: all rows. Never an empty list, which would read like it.
    scope = models.JSONField(
        "sub accounts",
        null=True,
        blank=True,
        help_text="One SubAccountId a line, exactly as in the cost data. Empty: all rows.",
    )
    expires_on = models.DateField(
        null=True, blank=True, help_text="From this day on (00:00 UTC) it no longer counts."
    )
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = HistoricalRecords(
        history_change_reason_field=models.CharField(max_length=500, blank=True, default=""),
        excluded_fields=["updated_at"],
    )

    class Meta:
        ordering = ["-level", "display_name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(level__in=PermissionLevel.values), name="accounts_mapping_level"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.display_name or self.group_oid} → {PermissionLevel(self.level).label}"

    def counts_on(self, day: date) -> bool:
        """Return whether it has not expired on ``day`` (UTC)."""
        return self.expires_on is None or day < self.expires_on


class MappingsVersion(models.Model):
    """One row, whose number grows with every change of the mappings."""

    version = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(pk=1), name="accounts_mappingsversion_single"),
        ]

    def __str__(self) -> str:
        return str(self.version)

    @classmethod
    def current(cls) -> int:
        """Return the number; 0 before the first change. One read by primary key."""
        return cls.objects.filter(pk=1).values_list("version", flat=True).first() or 0

    @classmethod
    def bump(cls) -> None:
        """Count one change. Call it inside the transaction of that change."""
        cls.objects.get_or_create(pk=1)
        cls.objects.filter(pk=1).update(version=F("version") + 1)


class UsedState(models.Model):
    """A sign-in attempt's state that was consumed.

    Database sessions do not lock, so the primary key decides which of two callbacks that bring the
    same state at the same moment was first.
    """

    digest = models.CharField(primary_key=True, max_length=64)
    used_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.digest[:8]


LEAST_AUDIT_AGE: Final = timedelta(days=30)


class AppendOnlyError(TypeError):
    """Somebody tried to change or delete a row that is a record of what happened."""


class _AppendOnlyQuerySet(models.QuerySet["AuditEvent"]):
    def update(self, **_values: Any) -> NoReturn:
        raise AppendOnlyError("Audit events are never changed.")

    def delete(self) -> NoReturn:
        raise AppendOnlyError("Audit events are never deleted.")

    def prune(self, before: datetime) -> int:
        """Remove what is older than ``before`` and return how many: events leave by age alone.

        Raises ``AppendOnlyError`` for a time within the last ``LEAST_AUDIT_AGE``.
        """
        if before > datetime.now(UTC) - LEAST_AUDIT_AGE:
            raise AppendOnlyError(f"Audit events stay for {LEAST_AUDIT_AGE.days} days at least.")
        return int(self.filter(at__lt=before)._raw_delete(self.db))


class AuditEvent(models.Model):
    """One thing that happened to an identity, a session or a mapping. Append-only.

    People are noted by value, not by reference, so that a record outlives the account.
    """

    class Kind(models.TextChoices):
        SIGNED_IN = "signed_in", "Signed in"
        SIGN_IN_REFUSED = "sign_in_refused", "Sign-in refused"
        SIGNED_OUT = "signed_out", "Signed out"
        SESSION_ENDED = "session_ended", "Session ended"
        ACCESS_DENIED = "access_denied", "Access denied"
        MAPPING_CREATED = "mapping_created", "Mapping created"
        MAPPING_CHANGED = "mapping_changed", "Mapping changed"
        MAPPING_DELETED = "mapping_deleted", "Mapping deleted"
        USER_CHANGED = "user_changed", "User changed"
        SESSIONS_CLOSED = "sessions_closed", "Sessions closed by an administrator"
        AUDIT_EXPORTED = "audit_exported", "Audit events exported"
        AUDIT_PRUNED = "audit_pruned", "Old audit events removed"

    at = models.DateTimeField(db_index=True)
    kind = models.CharField(max_length=32, choices=Kind.choices)
    reason = models.CharField(max_length=64, blank=True)
    user_oid = models.CharField("who (object id)", max_length=36, blank=True, db_index=True)
    user_name = models.CharField("who", max_length=256, blank=True)
    resource = models.CharField(max_length=500, blank=True)
    details = models.JSONField(default=dict, blank=True)
    ip = models.GenericIPAddressField("address", null=True, blank=True)
    request_id = models.CharField("correlation id", max_length=64, blank=True)

    objects = _AppendOnlyQuerySet.as_manager()

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["kind", "at"], name="accounts_audit_kind_at")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.get_kind_display()}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert. Raises ``AppendOnlyError`` for a row that exists."""
        if not self._state.adding:
            raise AppendOnlyError("Audit events are never changed.")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Raise ``AppendOnlyError``."""
        raise AppendOnlyError("Audit events are never deleted.")
