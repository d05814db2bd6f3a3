"""What sign-in needs to be configured with, and what to say when it is not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse

from accounts import mappings
from accounts.levels import PermissionLevel

PUBLIC_CLOUD: Final = "https://login.microsoftonline.com"
_REQUIRED: Final = (
    "client_id",
    "client_secret",
    "tenant_id",
    "redirect_uri",
    "cookie_secret",
    "server_metadata_url",
)


class ConfigurationError(ImproperlyConfigured):
    """The configuration of sign-in is wrong. The message names each field, never a secret."""


@dataclass(frozen=True)
class AuthConfig:
    """The configuration of sign-in. ``group_mappings`` goes from a group's object id to a level."""

    client_id: str
    client_secret: str = field(repr=False)
    tenant_id: str
    redirect_uri: str
    cookie_secret: str = field(repr=False)
    server_metadata_url: str
    group_mappings: Mapping[str, PermissionLevel] = field(default_factory=dict)
    # What stands in for the secret: a certificate, or a cluster's token.
    certificate_path: str = ""
    federated_token_file: str = ""

    @classmethod
    def from_secrets(cls, secrets: Mapping[str, Any]) -> "AuthConfig":
        """Read the table ``auth`` of a secrets file (or that table itself) and validate it.

        Without ``tenant_id`` the one in ``server_metadata_url`` counts. Raises
        ``ConfigurationError``.
        """
        table = secrets.get("auth", secrets)
        if not isinstance(table, Mapping):
            raise ConfigurationError("auth is not a table; expected one with client_id and others.")
        values = {name: str(table.get(name) or "") for name in _REQUIRED}
        if not values["tenant_id"]:
            values["tenant_id"] = _tenant_of(values["server_metadata_url"])
        config = cls(**values, group_mappings=_mappings_from(table.get("group_mappings") or {}))
        config.validate()
        return config

    def validate(self) -> None:
        """Raise ``ConfigurationError``, which names every missing field, unless all is there."""
        missing = [name for name in _REQUIRED if not getattr(self, name)]
        if self.certificate_path or self.federated_token_file:
            missing = [name for name in missing if name != "client_secret"]
        if missing:
            raise ConfigurationError(
                f"Sign-in is not configured: {', '.join(missing)} missing. They come from the app"
                " registration in Entra ID and from SITE_URL and SECRET_KEY."
            )
        require_tenant_id(self.tenant_id)


def require_tenant_id(tenant_id: str) -> None:
    """Raise ``ConfigurationError`` unless ``tenant_id`` is one tenant's GUID."""
    try:
        canonical = str(UUID(tenant_id))
    except ValueError:
        canonical = ""
    if canonical != tenant_id.lower():
        raise ConfigurationError(
            f"tenant_id is {tenant_id!r}; expected the tenant's GUID, like"
            " 00000000-0000-0000-0000-000000000000. 'common' and 'organizations' would let every"
            " organisation in."
        )


def build_metadata_url(tenant_id: str, *, authority_host: str = PUBLIC_CLOUD) -> str:
    """Return the address of a tenant's discovery document. Raises ``ConfigurationError``."""
    require_tenant_id(tenant_id)
    return f"{authority_host}/{tenant_id}/v2.0/.well-known/openid-configuration"


def callback_url() -> str:
    """Return the redirect URI, as it must be registered. It never follows a request's Host."""
    return f"{settings.SITE_URL}{reverse('accounts:callback')}"


def load_auth_config() -> AuthConfig:
    """Read the settings and the stored mappings. Raises ``ConfigurationError``."""
    config = AuthConfig(
        client_id=settings.ENTRA_CLIENT_ID,
        client_secret=settings.ENTRA_CLIENT_SECRET,
        tenant_id=settings.ENTRA_TENANT_ID,
        redirect_uri=callback_url() if settings.SITE_URL else "",
        cookie_secret=settings.SECRET_KEY,
        server_metadata_url=(
            f"{settings.ENTRA_AUTHORITY_HOST}/{settings.ENTRA_TENANT_ID}"
            "/v2.0/.well-known/openid-configuration"
        ),
        group_mappings=mappings.load().levels,
        certificate_path=settings.ENTRA_CLIENT_CERTIFICATE_PATH,
        federated_token_file=settings.ENTRA_FEDERATED_TOKEN_FILE,
    )
    config.validate()
    return config


def _tenant_of(metadata_url: str) -> str:
    parts = metadata_url.split("/")
    return parts[3] if len(parts) > 3 else ""


def _mappings_from(table: object) -> dict[str, PermissionLevel]:
    if not isinstance(table, Mapping):
        raise ConfigurationError("group_mappings is not a table of object ids and levels.")
    levels = {}
    for group_oid, value in table.items():
        try:
            levels[str(group_oid)] = PermissionLevel.parse(value)
        except ValueError as error:
            raise ConfigurationError(f"group_mappings[{group_oid!r}]: {error}") from None
    return levels
