"""How this application proves to Entra ID who it is: by secret, by certificate, or by its cluster.

The same proof serves the exchange of a sign-in's code and Graph's tokens. A certificate's file and
a federated token's are read for every proof, so that a renewed one counts without a restart.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from django.conf import settings
from django.views.decorators.debug import sensitive_variables
from jwt.utils import base64url_encode

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFETIME: Final = 300  # seconds
MAX_FEDERATED_TOKEN: Final = 16_384  # bytes
WAYS: Final = (
    "ENTRA_CLIENT_SECRET",
    "ENTRA_CLIENT_CERTIFICATE_PATH",
    "ENTRA_FEDERATED_TOKEN_FILE",
)


class CredentialError(Exception):
    """There is no usable credential. The message names the setting or the file, never a secret."""


class ClientCredential(Protocol):
    """One way of proof. Values are compared, so that a client is kept while its proof stays."""

    def form(self) -> dict[str, str]:
        """Return what to add to a token request's form. Raises ``CredentialError``."""

    def for_msal(self) -> Any:
        """Return MSAL's ``client_credential``. Raises ``CredentialError``."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class ClientSecret:
    """A secret of the app registration."""

    value: str = field(repr=False)

    def form(self) -> dict[str, str]:
        """Return the secret as it is."""
        return {"client_secret": self.value}

    def for_msal(self) -> str:
        """Return the secret as it is."""
        return self.value


class _Assertion(ABC):
    """A proof that is a signed statement, made or read anew for each request."""

    @abstractmethod
    def assertion(self) -> str:
        """Return it. Raises ``CredentialError``."""

    def form(self) -> dict[str, str]:
        """Return the statement and its type."""
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion()}

    def for_msal(self) -> dict[str, Callable[[], str]]:
        """Return a way to ask for the statement: MSAL calls it when it needs one."""
        return {"client_assertion": self.assertion}


@dataclass(frozen=True)
class ClientCertificate(_Assertion):
    """A certificate of the app registration, with its RSA key, in one PEM file."""

    path: str
    passphrase: str = field(repr=False)
    client_id: str
    token_endpoint: str

    @sensitive_variables()
    def assertion(self) -> str:
        """Return a statement for five minutes. Raises ``CredentialError``."""
        pem = _read(self.path, "ENTRA_CLIENT_CERTIFICATE_PATH")
        try:
            key = load_pem_private_key(pem, self.passphrase.encode() or None)
            certificate = load_pem_x509_certificate(pem)
        except (ValueError, TypeError) as error:
            raise CredentialError(
                f"ENTRA_CLIENT_CERTIFICATE_PATH names {self.path}; expected PEM with an RSA key and"
                f" its certificate, and the passphrase if there is one ({type(error).__name__})."
            ) from None
        if not isinstance(key, RSAPrivateKey) or key.public_key() != certificate.public_key():
            raise CredentialError(
                f"ENTRA_CLIENT_CERTIFICATE_PATH names {self.path}, whose key is not its"
                " certificate's RSA key."
            )
        now = int(time.time())
        claims = {
            "aud": self.token_endpoint,
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": str(uuid4()),
            "iat": now,
            "nbf": now,
            "exp": now + ASSERTION_LIFETIME,
        }
        thumbprint = base64url_encode(certificate.fingerprint(hashes.SHA256())).decode()
        return jwt.encode(claims, key, algorithm="PS256", headers={"x5t#S256": thumbprint})


@dataclass(frozen=True)
class FederatedToken(_Assertion):
    """A token that the cluster this runs in keeps in a file (workload identity)."""

    path: str

    def assertion(self) -> str:
        """Return the file's token. Raises ``CredentialError``."""
        content = _read(self.path, "ENTRA_FEDERATED_TOKEN_FILE")
        token = content.decode("ascii", errors="replace").strip()
        if len(content) > MAX_FEDERATED_TOKEN or token.count(".") != 2:
            raise CredentialError(
                f"ENTRA_FEDERATED_TOKEN_FILE names {self.path}, which holds no token; expected the"
                " file that the cluster projects."
            )
        return token


@dataclass(frozen=True)
class Unusable:
    """No credential, or more than one: nothing is chosen for the operator."""

    problem: str

    def form(self) -> dict[str, str]:
        """Raise ``CredentialError``."""
        raise CredentialError(self.problem)

    def for_msal(self) -> Any:
        """Raise ``CredentialError``."""
        raise CredentialError(self.problem)


def client_credential() -> ClientCredential:
    """Return the one that the settings name. It is judged when it is used, not here."""
    given = [name for name in WAYS if getattr(settings, name)]
    if len(given) != 1:
        return Unusable(
            f"{' and '.join(given) or 'None'} of {', '.join(WAYS)} is set; expected exactly one."
        )
    if settings.ENTRA_CLIENT_SECRET:
        return ClientSecret(settings.ENTRA_CLIENT_SECRET)
    if settings.ENTRA_FEDERATED_TOKEN_FILE:
        return FederatedToken(settings.ENTRA_FEDERATED_TOKEN_FILE)
    authority = f"{settings.ENTRA_AUTHORITY_HOST}/{settings.ENTRA_TENANT_ID}"
    return ClientCertificate(
        path=settings.ENTRA_CLIENT_CERTIFICATE_PATH,
        passphrase=settings.ENTRA_CLIENT_CERTIFICATE_PASSPHRASE,
        client_id=settings.ENTRA_CLIENT_ID,
        token_endpoint=f"{authority}/oauth2/v2.0/token",
    )


def _read(path: str, setting: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CredentialError(f"{setting} names {path}: {error.strerror}.") from None
