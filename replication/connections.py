"""Which clusters there are, and how to sign in to each."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from replication.config import AuthMethod, MongoConfig, MongoPolicy
from replication.errors import InvalidConfiguration
from replication.references import read_secret

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
