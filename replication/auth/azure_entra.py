"""Where tokens come from: Azure's own credentials, one fresh one for each request.

A credential of azure-identity keeps its token and hands out the same one again after a server has
refused it, so none is kept here: keeping tokens is the work of ``mongo_entra``.

EntraError
└── TokenRequestFailed   the token service did not give a token
"""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.identity import (
    AzureCliCredential,
    AzureDeveloperCliCredential,
    CertificateCredential,
    ChainedTokenCredential,
    CredentialUnavailableError,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from django.conf import settings

from replication.errors import InvalidConfiguration
from replication.mapping import DURATION, MappedConfig
from replication.policy import is_guid

# Hosts whose list of clouds the Azure libraries can check; any other host is taken as it is.
_MICROSOFT_AUTHORITIES = (
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
    "login.chinacloudapi.cn",
)
_AADSTS = re.compile(r"AADSTS\d+")
# Entra ends its descriptions with these, which its support and its sign-in logs go by.
_GUID = r"\W{1,4}([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_IDS = {
    "correlation id": re.compile(rf"correlation[ _]id{_GUID}", re.IGNORECASE),
    "trace id": re.compile(rf"trace[ _]id{_GUID}", re.IGNORECASE),
}


class EntraError(Exception):
    """A failure on the way to a token. Its text never holds a token, a secret or a response."""


class TokenRequestFailed(EntraError):
    """The token service did not give a token. ``unavailable`` means that it was never asked."""

    def __init__(self, message: str, *, unavailable: bool = False) -> None:
        super().__init__(message)
        self.unavailable = unavailable


class CredentialMethod(StrEnum):
    """Which of Azure's credentials signs this installation in."""

    WORKLOAD_IDENTITY = "workload_identity"
    MANAGED_IDENTITY = "managed_identity"
    CERTIFICATE = "certificate"
    DEVELOPER = "developer"
    AUTO = "auto"


@dataclass(frozen=True)
class AzureEntraConfig(MappedConfig):
    """One identity, and how it proves itself. Times are in seconds.

    AUTO takes the first that is configured, in this order: workload identity (a federated token
    file), certificate (a path), the developer's own sign-in (with ``allow_developer``), and
    otherwise the machine's managed identity: the user-assigned one that ``client_id`` names, or
    without it the system-assigned one. ``retry_total`` is 0 because RetryConfig repeats requests.
    """

    method: CredentialMethod = CredentialMethod.AUTO
    tenant_id: str = ""
    client_id: str = ""
    authority_host: str = "https://login.microsoftonline.com"
    federated_token_file: str = ""
    certificate_path: str = field(default="", repr=False)
    ca_file: str = ""
    connect_timeout: float = field(default=3.0, metadata=DURATION)
    read_timeout: float = field(default=5.0, metadata=DURATION)
    retry_total: int = 0
    allow_developer: bool = False

    @classmethod
    def from_settings(cls, *, tenant_id: str = "", client_id: str = "") -> "AzureEntraConfig":
        """Return Django's settings; a tenant or client given here wins over theirs.

        Raises:
            InvalidConfiguration: MONGO_ENTRA_CREDENTIAL is none of the methods.
        """
        method = settings.MONGO_ENTRA_CREDENTIAL
        if method not in list(CredentialMethod):
            raise InvalidConfiguration(
                [
                    f"MONGO_ENTRA_CREDENTIAL is {method!r}: expected one of"
                    f" {', '.join(CredentialMethod)}."
                ]
            )
        return cls(
            method=CredentialMethod(method),
            tenant_id=tenant_id or settings.AZURE_TENANT_ID,
            client_id=client_id or settings.AZURE_CLIENT_ID,
            authority_host=settings.AZURE_AUTHORITY_HOST,
            federated_token_file=settings.AZURE_FEDERATED_TOKEN_FILE,
            certificate_path=settings.AZURE_CLIENT_CERTIFICATE_PATH,
            ca_file=settings.ENTRA_CA_FILE,
            allow_developer=settings.DEVELOPMENT,
        )

    @property
    def chosen(self) -> CredentialMethod:
        """The method that AUTO means here, or the configured one."""
        if self.method is not CredentialMethod.AUTO:
            return self.method
        if self.federated_token_file:
            return CredentialMethod.WORKLOAD_IDENTITY
        if self.certificate_path:
            return CredentialMethod.CERTIFICATE
        if self.allow_developer:
            return CredentialMethod.DEVELOPER
        return CredentialMethod.MANAGED_IDENTITY

    def of(self, *, tenant_id: str, client_id: str) -> "AzureEntraConfig":
        """Return the same way to sign in for another tenant or client, where one is given."""
        return replace(
            self, tenant_id=tenant_id or self.tenant_id, client_id=client_id or self.client_id
        )

    def validate(self) -> None:
        """Raise InvalidConfiguration with every problem there is."""
        problems = list(self.problems())
        if problems:
            raise InvalidConfiguration(problems)

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each problem, which begins with the field's name."""
        method = self.chosen
        application = (CredentialMethod.WORKLOAD_IDENTITY, CredentialMethod.CERTIFICATE)
        needed = {
            "tenant_id": (*application, CredentialMethod.DEVELOPER),
            "client_id": application,
            "federated_token_file": (CredentialMethod.WORKLOAD_IDENTITY,),
            "certificate_path": (CredentialMethod.CERTIFICATE,),
        }
        for name, methods in needed.items():
            if method in methods and not getattr(self, name):
                yield f"{name} is missing: the {method} credential needs it."
        for name in ("tenant_id", "client_id"):
            if getattr(self, name) and not is_guid(getattr(self, name)):
                yield f"{name} is {getattr(self, name)!r}: expected a GUID."
        if not self.authority_host.startswith("https://"):
            yield f"authority_host is {self.authority_host!r}: expected an https:// address."
        for name in ("connect_timeout", "read_timeout"):
            if getattr(self, name) <= 0:
                yield f"{name} is 0: expected some seconds."


@dataclass(frozen=True)
class AccessToken:
    """A bearer token. Times are seconds since the epoch; ``refresh_at`` is the issuer's advice."""

    token: str = field(repr=False)
    expires_at: float
    refresh_at: float | None = None


class TokenSource(Protocol):
    """Whoever can ask for a token."""

    def request_token(self, scope: str) -> AccessToken:
        """Ask the token service, never a cache. Raises TokenRequestFailed."""


class AzureEntraProvider:
    """Asks Entra ID for tokens of one identity. Holds no state, so threads and forks are free."""

    def __init__(self, config: AzureEntraConfig) -> None:
        self._config = config

    def request_token(self, scope: str) -> AccessToken:
        """Ask Entra ID for a token for ``scope`` (``https://<resource>/.default``).

        Raises:
            TokenRequestFailed: names the credential, and Entra's AADSTS code where there is one.
        """
        method = self._config.chosen
        try:
            with closing(_CREDENTIALS[method](self._config)) as credential:
                info = credential.get_token_info(scope)
        except CredentialUnavailableError:
            raise TokenRequestFailed(
                f"The {method} credential is not available here: check MONGO_ENTRA_CREDENTIAL and"
                " the AZURE_ settings that it needs.",
                unavailable=True,
            ) from None
        # The file of a workload identity and a certificate are read on the way.
        except (AzureError, OSError, ValueError) as error:
            raise TokenRequestFailed(
                f"The {method} credential got no token from {self._config.authority_host}:"
                f" {_safe_reason(error)}."
            ) from None
        refresh_at = None if info.refresh_on is None else float(info.refresh_on)
        return AccessToken(info.token, float(info.expires_on), refresh_at)


def _safe_reason(error: Exception) -> str:
    """Keep the type and Entra's own codes; the message may quote the request or the response."""
    text = str(error)
    codes = ", ".join(dict.fromkeys(_AADSTS.findall(text)))
    ids = [f", {name} {found[1]}" for name, form in _IDS.items() if (found := form.search(text))]
    return f"{type(error).__name__}{f' {codes}' if codes else ''}{''.join(ids)}"


def _transport(config: AzureEntraConfig) -> dict[str, Any]:
    return {
        # Given on every request, so that REQUESTS_CA_BUNDLE of the machine does not win.
        "connection_verify": config.ca_file or True,
        "connection_timeout": config.connect_timeout,
        "read_timeout": config.read_timeout,
        "retry_total": config.retry_total,
    }


def _authority(config: AzureEntraConfig) -> dict[str, Any]:
    known = urlsplit(config.authority_host).hostname in _MICROSOFT_AUTHORITIES
    return {"authority": config.authority_host, "disable_instance_discovery": not known}


def _workload_identity(config: AzureEntraConfig) -> WorkloadIdentityCredential:
    return WorkloadIdentityCredential(
        tenant_id=config.tenant_id,
        client_id=config.client_id,
        token_file_path=config.federated_token_file,
        **_authority(config),
        **_transport(config),
    )


def _certificate(config: AzureEntraConfig) -> CertificateCredential:
    return CertificateCredential(
        config.tenant_id,
        config.client_id,
        config.certificate_path,
        **_authority(config),
        **_transport(config),
    )


def _managed_identity(config: AzureEntraConfig) -> ManagedIdentityCredential:
    # The machine's own endpoint is plain HTTP: it has no certificate to verify.
    return ManagedIdentityCredential(
        client_id=config.client_id or None,
        connection_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
        retry_total=config.retry_total,
    )


def _developer(config: AzureEntraConfig) -> ChainedTokenCredential:
    seconds = int(config.connect_timeout + config.read_timeout)
    return ChainedTokenCredential(
        AzureCliCredential(tenant_id=config.tenant_id, process_timeout=seconds),
        AzureDeveloperCliCredential(tenant_id=config.tenant_id, process_timeout=seconds),
    )


_CREDENTIALS: dict[CredentialMethod, Callable[[AzureEntraConfig], Any]] = {
    CredentialMethod.WORKLOAD_IDENTITY: _workload_identity,
    CredentialMethod.CERTIFICATE: _certificate,
    CredentialMethod.MANAGED_IDENTITY: _managed_identity,
    CredentialMethod.DEVELOPER: _developer,
}
