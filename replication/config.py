"""How a MongoDB cluster is reached and signed in to, and every reason why a configuration is wrong.

Nothing here opens a connection or resolves a name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.conf import settings
from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.uri_parser import parse_uri

from replication.errors import InvalidConfiguration

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
OSSRDBMS_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
DEFAULT_SCOPE = "https://cosmos.azure.com/.default"
# Options that weaken TLS until it no longer says who the server is.
_INSECURE_TLS = ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")
_SRV_OPTIONS = re.compile(r"(?<=[?&])srv\w+=[^&]*&?", re.IGNORECASE)
_SCHEMES = ("mongodb://", "mongodb+srv://")


class AuthMethod(StrEnum):
    """How a connection signs in."""

    CONNECTION_STRING = "connection_string"
    ENTRA = "entra"


@dataclass(frozen=True)
class MongoPolicy:
    """What this installation allows: which hosts may be sent a token, and with which scope."""

    audiences: Mapping[str, str]  # host suffix -> scope that its servers accept
    allowed_hosts: tuple[str, ...]  # host suffixes
    sandbox: bool = False

    @classmethod
    def from_settings(cls) -> "MongoPolicy":
        """Return the policy of Django's settings."""
        return cls(
            audiences=settings.MONGO_ENTRA_AUDIENCES,
            allowed_hosts=tuple(settings.MONGO_ALLOWED_HOSTS),
            sandbox=settings.SANDBOX,
        )

    def scope_for(self, host: str) -> str | None:
        """Return the scope of the longest suffix in the map that fits, or None."""
        fitting = [suffix for suffix in self.audiences if _has_suffix(host, suffix)]
        return self.audiences[max(fitting, key=len)] if fitting else None

    def allows(self, host: str) -> bool:
        """Whether a token may be sent to ``host``."""
        return any(_has_suffix(host, suffix) for suffix in self.allowed_hosts)

    def allows_plain(self, host: str) -> bool:
        """Whether a token may travel to ``host`` without TLS: to the sandbox's own gate only."""
        return self.sandbox and host in LOOPBACK


@dataclass(frozen=True)
class MongoConfig:
    """One cluster, how to sign in to it, and optionally a namespace in it.

    ``password`` belongs to ``connection_string``: it is kept out of the address, so that the
    address can be stored and shown.
    """

    connection_uri: str = field(repr=False)
    database: str = ""
    collection: str = ""
    auth_method: str = AuthMethod.CONNECTION_STRING
    tenant_id: str = ""
    client_id: str = ""
    scopes: tuple[str, ...] = ()
    auth_timeout: float = 10.0  # seconds
    password: str | None = field(default=None, repr=False)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host names of the address, in lower case, before any SRV look-up."""
        return tuple(host.lower() for host, _port in self._parsed()["nodelist"])

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the address, by the driver's names."""
        options: dict[str, Any] = self._parsed()["options"]
        return options

    @property
    def has_password_in_uri(self) -> bool:
        """Whether the address itself holds a password. False where it cannot be read."""
        try:
            return bool(self._parsed()["password"])
        except (ConfigurationError, InvalidURI, ValueError):
            return False

    def scope(self, policy: MongoPolicy) -> str:
        """Return the scope to ask a token for: the configured one, else what the host accepts."""
        if self.scopes:
            return self.scopes[0]
        return policy.scope_for(self.hosts[0]) or DEFAULT_SCOPE

    def validate(self, policy: MongoPolicy | None = None) -> None:
        """Raise InvalidConfiguration with every problem there is."""
        problems = list(self.problems(policy or MongoPolicy.from_settings()))
        if problems:
            raise InvalidConfiguration([problem for _field, problem in problems])

    def problems(self, policy: MongoPolicy) -> Iterator[tuple[str, str]]:
        """Yield (field, sentence) for each problem."""
        methods = [method.value for method in AuthMethod]
        if self.auth_method not in methods:
            yield (
                "auth_method",
                f"auth_method is {self.auth_method!r}: expected one of {', '.join(methods)}.",
            )
        try:
            parsed = self._parsed()
        except (ConfigurationError, InvalidURI, ValueError) as error:
            yield "connection_uri", f"connection_uri cannot be read: {_reason(error)}"
            return
        if self.auth_method == AuthMethod.ENTRA:
            yield from self._entra_problems(parsed, policy)

    def _parsed(self) -> dict[str, Any]:
        uri = self.connection_uri
        if not uri.startswith(_SCHEMES):
            raise InvalidURI(f"it must begin with {' or '.join(_SCHEMES)}")
        if uri.startswith("mongodb+srv://"):
            # Read without the look-up that parse_uri would do for this scheme.
            uri = "mongodb://" + _SRV_OPTIONS.sub("", uri.removeprefix("mongodb+srv://"))
            result = parse_uri(uri)
            result["options"].setdefault("tls", True)
            return result
        return parse_uri(uri)

    def _entra_problems(
        self, parsed: Mapping[str, Any], policy: MongoPolicy
    ) -> Iterator[tuple[str, str]]:
        if not self.tenant_id:
            yield "tenant_id", "tenant_id is missing: auth_method 'entra' needs the directory's id."
        elif not is_guid(self.tenant_id):
            yield (
                "tenant_id",
                f"tenant_id is {self.tenant_id!r}: expected a GUID, as in the Entra admin centre"
                " under Overview, Tenant ID.",
            )
        if self.client_id and not is_guid(self.client_id):
            yield "client_id", f"client_id is {self.client_id!r}: expected a GUID."
        yield from self._address_problems(parsed, policy)
        yield from self._scope_problems(policy)

    def _address_problems(
        self, parsed: Mapping[str, Any], policy: MongoPolicy
    ) -> Iterator[tuple[str, str]]:
        options = parsed["options"]
        if parsed["password"] or self.password is not None:
            yield (
                "connection_uri",
                "connection_uri holds a password, or a secret is configured: with auth_method"
                " 'entra' there is none; remove it.",
            )
        mechanism = options.get("authMechanism", "MONGODB-OIDC")
        if mechanism != "MONGODB-OIDC":
            yield (
                "connection_uri",
                f"connection_uri says authMechanism={mechanism}: auth_method 'entra' signs in by"
                " MONGODB-OIDC; remove the option.",
            )
        if "authMechanismProperties" in options:
            yield (
                "connection_uri",
                "connection_uri says authMechanismProperties: tokens come from this"
                " installation's own provider; remove the option.",
            )
        if options.get("w") == 0:
            yield (
                "connection_uri",
                "connection_uri says w=0: writes after a token's expiry would be lost without an"
                " error; remove the option.",
            )
        for host, _port in parsed["nodelist"]:
            yield from _host_problems(host.lower(), options, policy)

    def _scope_problems(self, policy: MongoPolicy) -> Iterator[tuple[str, str]]:
        if not self.scopes:
            return
        if len(self.scopes) > 1:
            yield (
                "scopes",
                f"scopes names {len(self.scopes)} resources: a token is for one; name one.",
            )
        scope = self.scopes[0]
        if not scope.startswith("https://") or not scope.endswith("/.default"):
            yield "scopes", f"scopes is {scope!r}: expected https://<resource>/.default."
            return
        expected = policy.scope_for(self.hosts[0])
        if expected is not None and scope != expected:
            yield "scopes", f"scopes is {scope!r}: {self.hosts[0]} accepts {expected!r} only."
        elif expected is None and scope == OSSRDBMS_SCOPE:
            yield (
                "scopes",
                f"scopes is {scope!r}, which is for PostgreSQL, MySQL and Azure DocumentDB, and"
                f" {self.hosts[0]} is none of them that MONGO_ENTRA_AUDIENCES knows: use"
                f" {DEFAULT_SCOPE!r}, or add the host's suffix there.",
            )
        elif expected is None and scope != DEFAULT_SCOPE:
            yield (
                "scopes",
                f"scopes is {scope!r}, which belongs to another service: expected"
                f" {DEFAULT_SCOPE!r}, or an entry for {self.hosts[0]} in MONGO_ENTRA_AUDIENCES.",
            )


def is_guid(text: str) -> bool:
    """Whether ``text`` is a GUID in its usual form of five groups."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def host_refusal(host: str) -> str:
    """Return the sentence that refuses to send a token to ``host``."""
    return (
        f"{host} may not be sent an Entra token: it is not under a suffix of MONGO_ALLOWED_HOSTS;"
        " correct the address, or add the suffix."
    )


def _host_problems(
    host: str, options: Mapping[str, Any], policy: MongoPolicy
) -> Iterator[tuple[str, str]]:
    if not policy.allows(host):
        yield "connection_uri", host_refusal(host)
    if policy.allows_plain(host):
        return
    if not options.get("tls"):
        yield (
            "connection_uri",
            f"connection_uri has TLS off for {host}: a token would travel in clear; add tls=true.",
        )
    for name in _INSECURE_TLS:
        if options.get(name):
            yield (
                "connection_uri",
                f"connection_uri says {name}=true: anybody could take the token; remove the"
                " option (tlsCAFile names a CA of your own).",
            )


def _has_suffix(host: str, suffix: str) -> bool:
    host, suffix = host.lower().rstrip("."), suffix.lower().strip(".")
    return host == suffix or host.endswith(f".{suffix}")


def _reason(error: Exception) -> str:
    # The driver's messages name options and hosts; a password with unescaped characters could be
    # taken for a part of either.
    return f"{type(error).__name__}. Expected mongodb://host:port/?option=value, names escaped."
