"""What an administrator decides: which clusters there are, and what is copied between them.

What changes with every batch (positions, leases, marks) lives in the destination cluster instead.
"""

import uuid
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from replication.config import AuthMethod, MongoConfig, MongoPolicy
from replication.errors import InvalidConfiguration
from replication.spec import CONTROL_DATABASE, Namespace, StreamSpec

_FORM_FIELDS = {"connection_uri": "uri", "scopes": "scope"}


class Connection(models.Model):
    """A MongoDB cluster and how to sign in to it. Never holds a secret, only where one is."""

    name = models.SlugField(
        unique=True,
        help_text="A short name, e.g. 'billing-eu'. Renamed, its flows copy everything anew.",
    )
    uri = models.CharField(
        "address",
        max_length=2000,
        help_text="mongodb://… or mongodb+srv://…, without a password. Microsoft Entra ID needs"
        " TLS and a host that MONGO_ALLOWED_HOSTS covers.",
    )
    auth_method = models.CharField(
        "sign-in",
        max_length=32,
        choices=[
            (AuthMethod.ENTRA.value, "Microsoft Entra ID"),
            (AuthMethod.CONNECTION_STRING.value, "As the address says"),
        ],
        default=AuthMethod.ENTRA.value,
        help_text="Microsoft Entra ID signs in with this installation's own identity: nothing is"
        " stored.",
    )
    tenant_id = models.CharField(
        "tenant",
        max_length=64,
        blank=True,
        help_text="The directory's id, a GUID. For Microsoft Entra ID only; empty takes"
        " AZURE_TENANT_ID.",
    )
    client_id = models.CharField(
        "client",
        max_length=64,
        blank=True,
        help_text="The client id of the identity that signs in. Empty takes AZURE_CLIENT_ID.",
    )
    scope = models.CharField(
        max_length=200,
        blank=True,
        help_text="Empty takes the scope that the host is known to accept.",
    )
    secret_ref = models.CharField(
        "password reference",
        max_length=300,
        blank=True,
        help_text="Where the password is, for 'as the address says': env:NAME (a variable whose"
        " name begins with MONGO_SECRET_) or file:NAME (a file in MONGO_SECRET_DIR).",
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def mongo_config(self) -> MongoConfig:
        """Return the configuration, with the password that ``secret_ref`` leads to.

        Raises:
            InvalidConfiguration: when the reference leads nowhere.
        """
        entra = self.auth_method == AuthMethod.ENTRA
        return MongoConfig(
            connection_uri=self.uri,
            auth_method=self.auth_method,
            tenant_id=(self.tenant_id or settings.AZURE_TENANT_ID) if entra else "",
            client_id=(self.client_id or settings.AZURE_CLIENT_ID) if entra else "",
            scopes=(self.scope,) if self.scope else (),
            password=read_secret(self.secret_ref) if self.secret_ref else None,
        )

    def clean(self) -> None:
        """Show every problem of the configuration beside its field."""
        try:
            config = self.mongo_config()
        except InvalidConfiguration as error:
            raise ValidationError({"secret_ref": list(error.problems)}) from None
        errors: dict[str, list[str]] = {}
        for field, problem in config.problems(MongoPolicy.from_settings()):
            errors.setdefault(_FORM_FIELDS.get(field, field), []).append(problem)
        if config.has_password_in_uri:
            errors.setdefault("uri", []).append(
                "The address holds a password, which would be stored: take it out, put it where a"
                " password reference can lead, and name that below."
            )
        if errors:
            raise ValidationError(errors)


class OnHistoryLost(models.TextChoices):
    """What a flow does when the source no longer has the events after its position."""

    SNAPSHOT = "snapshot", "Take a new snapshot"
    STOP = "stop", "Stop and say so"


class Flow(models.Model):
    """Copies one collection and keeps the copy up to date."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.SlugField(unique=True, help_text="A short name, e.g. 'costs'.")
    source = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="flows_from")
    source_database = models.CharField(max_length=63)
    collection = models.CharField("source collection", max_length=255)
    destination = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="flows_to")
    destination_database = models.CharField(max_length=63)
    destination_collection = models.CharField(max_length=255)
    partition_fields = models.JSONField(
        default=list,
        blank=True,
        help_text='Fields whose changed values are recorded, as a list, e.g. ["ChargePeriodStart"].'
        " Reports are rebuilt by them.",
    )
    enabled = models.BooleanField(default=True, help_text="A paused flow keeps its position.")
    on_history_lost = models.CharField(
        "when history is lost",
        max_length=16,
        choices=OnHistoryLost.choices,
        default=OnHistoryLost.SNAPSHOT,
        help_text="A new snapshot copies everything again and removes what is gone.",
    )
    failure = models.TextField(blank=True, editable=False)
    failed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["destination", "destination_database", "destination_collection"],
                name="replication_flow_destination",
                violation_error_message="Another flow already writes this destination collection.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def spec(self) -> StreamSpec:
        """Return what a worker needs to know."""
        return StreamSpec(
            flow_id=self.id,
            flow_name=self.name,
            source=Namespace(self.source.name, self.source_database, self.collection),
            destination=Namespace(
                self.destination.name, self.destination_database, self.destination_collection
            ),
            partition_fields=tuple(self.partition_fields),
            snapshot_again=self.on_history_lost == OnHistoryLost.SNAPSHOT,
        )

    def clean(self) -> None:
        """Refuse a flow that would write its own source, or the flows' own records."""
        if not isinstance(self.partition_fields, list) or not all(
            isinstance(field, str) and field for field in self.partition_fields
        ):
            raise ValidationError({"partition_fields": "Expected a list of field names."})
        if self.destination_database == CONTROL_DATABASE:
            raise ValidationError(
                {
                    "destination_database": f"{CONTROL_DATABASE!r} holds the flows' own records:"
                    " choose another database."
                }
            )
        source = (self.source_id, self.source_database, self.collection)
        if source == (
            self.destination_id,
            self.destination_database,
            self.destination_collection,
        ):
            raise ValidationError("The destination is the source itself: choose another one.")


def read_secret(reference: str) -> str:
    """Return the secret that ``env:NAME`` or ``file:NAME`` leads to.

    Only variables that begin with MONGO_SECRET_ and files inside MONGO_SECRET_DIR are read, so
    that whoever edits connections cannot send other secrets of this machine to a host of theirs.

    Raises:
        InvalidConfiguration: when the reference is of no known kind or leads nowhere.
    """
    kind, _, name = reference.partition(":")
    if kind == "env" and name in settings.MONGO_SECRETS:
        return str(settings.MONGO_SECRETS[name])
    if kind == "file" and name and Path(name).name == name:
        try:
            return (Path(settings.MONGO_SECRET_DIR) / name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise InvalidConfiguration(
                [f"secret_ref names the file {name!r} in MONGO_SECRET_DIR: {error.strerror}."]
            ) from None
    raise InvalidConfiguration(
        [
            f"secret_ref is {reference!r}: expected env:MONGO_SECRET_… (a variable that is set) or"
            " file:NAME (a file in MONGO_SECRET_DIR, without a folder)."
        ]
    )
