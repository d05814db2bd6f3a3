"""How a MongoDB cluster is reached and signed in to, and every reason why a configuration is wrong.

Nothing here opens a connection or resolves a name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.uri_parser import parse_uri

from replication.errors import InvalidConfiguration
from replication.mapping import DURATION, SECRET, MappedConfig
from replication.policy import (
    DEFAULT_SCOPE,
    OSSRDBMS_SCOPE,
    MongoPolicy,
    host_refusal,
    is_guid,
)

__all__ = [
    "DEFAULT_SCOPE",
    "OSSRDBMS_SCOPE",
    "AuthMethod",
    "MongoConfig",
    "MongoPolicy",
    "host_refusal",
    "is_guid",
]

_SRV_OPTIONS = re.compile(r"(?<=[?&])srv\w+=[^&]*&?", re.IGNORECASE)
_SCHEMES = ("mongodb://", "mongodb+srv://")


class AuthMethod(StrEnum):
    """How a connection signs in."""

    CONNECTION_STRING = "connection_string"
    ENTRA = "entra"


@dataclass(frozen=True)
class MongoConfig(MappedConfig):
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
    auth_timeout: float = field(default=10.0, metadata=DURATION)  # seconds
    refresh_before_expiry: float = field(default=300.0, metadata=DURATION)  # seconds
    password: str | None = field(default=None, repr=False, metadata=SECRET)

    AUTH_CONFIG = {
        "tenant_id": "tenant_id",
        "client_id": "client_id",
        "scopes": "scopes",
        "timeout": "auth_timeout",
        "refresh_before_expiry": "refresh_before_expiry",
    }

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host names of the address, in lower case, before any SRV look-up."""
        return tuple(host.lower() for host, _port in self._parsed["nodelist"])

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the address, by the driver's names."""
        options: Mapping[str, Any] = self._parsed["options"]
        return options

    @property
    def has_password_in_uri(self) -> bool:
        """Whether the address itself holds a password. False where it cannot be read."""
        try:
            return bool(self._parsed["password"])
        except (ConfigurationError, InvalidURI, ValueError):
            return False

    def scope(self, policy: MongoPolicy) -> str:
        """Return the scope to ask a token for: the configured one, else what the host accepts."""
        if self.scopes:
            return self.scopes[0]
        return policy.scope_for(self.hosts[0]) or DEFAULT_SCOPE

    def validate(
        self, policy: MongoPolicy | None = None, *, names: Mapping[str, str] | None = None
    ) -> None:
        """Raise InvalidConfiguration with every problem there is.

        ``names`` are what the fields are called where this configuration came from; those that it
        holds for the database and the collection must not be empty.
        """
        names = names or {}
        problems = [
            sentence.replace(field, names.get(field, field), 1)
            for field, sentence in self.problems(policy or MongoPolicy.from_settings())
        ]
        problems += [
            f"{names[field]} is missing."
            for field in ("database", "collection")
            if field in names and not getattr(self, field)
        ]
        if problems:
            raise InvalidConfiguration(problems)

    def problems(self, policy: MongoPolicy) -> Iterator[tuple[str, str]]:
        """Yield (field, sentence) for each problem."""
        methods = [method.value for method in AuthMethod]
        if self.auth_method not in methods:
            yield (
                "auth_method",
                f"auth_method is {self.auth_method!r}: expected one of {', '.join(methods)}.",
            )
        entra = self.auth_method == AuthMethod.ENTRA
        if entra:
            yield from self._identity_problems()
        try:
            parsed = self._parsed
        except (ConfigurationError, InvalidURI, ValueError) as error:
            yield "connection_uri", f"connection_uri cannot be read: {_reason(error)}"
            return
        if entra:
            yield from self._address_problems(parsed, policy)
            # Each host may have a suffix of its own; what is wrong for all is told once.
            found = [p for host in self.hosts for p in policy.scope_problems(self.scopes, host)]
            yield from (("scopes", problem) for problem in dict.fromkeys(found))

    @property
    def _parsed(self) -> Mapping[str, Any]:
        return _read(self.connection_uri)

    def _identity_problems(self) -> Iterator[tuple[str, str]]:
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
        if self.auth_timeout <= 0:
            yield "auth_timeout", "auth_timeout is 0: expected some seconds to wait for a token."

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
            for problem in policy.host_problems(host.lower(), options):
                yield "connection_uri", problem


@lru_cache(maxsize=32)  # reading an address costs more than all else that is checked
def _read(uri: str) -> Mapping[str, Any]:
    if not uri.startswith(_SCHEMES):
        raise InvalidURI(f"it must begin with {' or '.join(_SCHEMES)}")
    if uri.startswith("mongodb+srv://"):
        # Read without the look-up that parse_uri would do for this scheme.
        uri = "mongodb://" + _SRV_OPTIONS.sub("", uri.removeprefix("mongodb+srv://"))
        result: dict[str, Any] = parse_uri(uri)
        result["options"].setdefault("tls", True)
    else:
        result = parse_uri(uri)
    result["options"] = MappingProxyType(result["options"])  # of all that ask
    return result


def _reason(error: Exception) -> str:
    # The driver's messages name options and hosts; a password with unescaped characters could be
    # taken for a part of either.
    return f"{type(error).__name__}. Expected mongodb://host:port/?option=value, names escaped."
