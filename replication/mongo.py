"""The one builder of MongoDB clients, and the shared client of each process and connection."""

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import structlog
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from replication.auth.azure_entra import AzureEntraConfig
from replication.auth.driver import EntraCallback, observe_sign_ins
from replication.auth.mongo_entra import (
    MongoEntraConfig,
    MongoEntraTokenProvider,
    new_mongo_entra_provider,
)
from replication.config import AuthMethod, MongoConfig, MongoPolicy, host_refusal
from replication.errors import InvalidConfiguration, UnknownConnection

log = structlog.get_logger(__name__)

Document = dict[str, Any]
Client = MongoClient[Document]

# A client of a connection that has been edited may be in use: it is closed after this time.
_GRACE = 60.0  # seconds


class Purpose(StrEnum):
    """What a shared client is for. Leases have their own, so that they never wait behind data."""

    DATA = "data"
    LEASE = "lease"


# A streaming monitor holds a server that gave one bad answer for unusable until its next heartbeat,
# up to ten seconds; a polling one asks again at once.
_POLLING: Mapping[str, Any] = {"serverMonitoringMode": "poll"}
# Where the address does not say otherwise. A dead server must be noticed within a lease's life.
_SHARED_DEFAULTS: Mapping[Purpose, Mapping[str, Any]] = {
    Purpose.DATA: {
        "connectTimeoutMS": 3_000,
        "serverSelectionTimeoutMS": 3_000,
        "socketTimeoutMS": 30_000,
        # All streams of a slot share the client, and one may need five connections at a time. They
        # are opened when they are needed.
        "maxPoolSize": 256,
        **_POLLING,
    },
    Purpose.LEASE: {
        "connectTimeoutMS": 2_000,
        "serverSelectionTimeoutMS": 2_000,
        "socketTimeoutMS": 3_000,
        **_POLLING,
    },
}
# Azure closes idle connections.
_ENTRA_DEFAULTS: Mapping[str, Any] = {
    "maxIdleTimeMS": 120_000,
    "appname": "finops-replication",
    **_POLLING,
}
# Azure DocumentDB promises nothing about retried writes.
_DOCUMENTDB_DEFAULTS: Mapping[str, Any] = {"retryWrites": False}


class _EntraClient(MongoClient[Document]):
    """A client whose ``close`` never asks Entra ID for a token."""

    def __init__(self, callback: EntraCallback, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._entra_callback = callback

    def close(self) -> None:
        self._entra_callback.stop()
        super().close()


def new_mongo_client(
    config: MongoConfig,
    *,
    policy: MongoPolicy | None = None,
    provider: MongoEntraTokenProvider | None = None,
    defaults: Mapping[str, Any] | None = None,
    name: str = "",
) -> Client:
    """Return a client for ``config``; the caller closes it.

    ``connection_string`` gives what plain pymongo gives. ``entra`` signs in by MONGODB-OIDC with
    ``provider`` (one of its own when None), and only ever with hosts that the policy allows, those
    that an SRV look-up or a server names later included. ``defaults`` are options that hold
    where the address does not say otherwise. ``name`` is what metrics and logs call the connection,
    its first host where it is not given.

    Raises:
        InvalidConfiguration: every problem at once, before any connection.
    """
    policy = policy or MongoPolicy.from_settings()
    config.validate(policy)
    given = {option.lower() for option in config.options}
    options = _without(given, defaults or {})
    if config.auth_method != AuthMethod.ENTRA:
        if config.password is not None:
            options["password"] = config.password
        return MongoClient(config.connection_uri, **options)
    _refuse_foreign_nodes(config, policy)
    if any(policy.is_documentdb(host) for host in config.hosts):
        options |= _without(given, _DOCUMENTDB_DEFAULTS)
    callback = EntraCallback(
        provider or new_mongo_entra_provider(entra_config(config, policy)),
        timeout=config.auth_timeout,
    )
    allows = lru_cache(policy.allows)  # asked at every command
    client = _EntraClient(
        callback,
        config.connection_uri,
        authMechanism="MONGODB-OIDC",
        authMechanismProperties={"OIDC_CALLBACK": callback},
        # Connections sign in only for operations, and those only go where this lets them.
        server_selector=lambda servers: [s for s in servers if allows(s.address[0])],
        connect=False,  # nothing before its sign-ins are observed
        **_without(given, _ENTRA_DEFAULTS) | options,
    )
    observe_sign_ins(client, name or config.hosts[0])
    return client


def entra_config(config: MongoConfig, policy: MongoPolicy) -> MongoEntraConfig:
    """Return what the token provider of a connection needs to know."""
    return MongoEntraConfig(
        tenant_id=config.tenant_id,
        client_id=config.client_id,
        scopes=(config.scope(policy),),
        refresh_before_expiry=config.refresh_before_expiry,
        timeout=config.auth_timeout,
        identity=AzureEntraConfig.from_settings(),
    )


def client_for(connection_name: str, purpose: Purpose = Purpose.DATA) -> Client:
    """Return this process's client for a connection; never close it.

    Built at first use, and anew after a fork or when the connection's row has changed.

    Raises:
        UnknownConnection: no row has that name.
        InvalidConfiguration: the row cannot work.
    """
    return _registry.client(connection_name, purpose)


def database(connection_name: str, database_name: str) -> Database[Document]:
    """Return a database of a connection, over the process's shared client."""
    return client_for(connection_name)[database_name]


def replace_clients(connection_name: str) -> None:
    """Let the next ``client_for`` build new clients, with sign-ins of their own."""
    _registry.retire(connection_name)


def close_clients() -> None:
    """Close every shared client and provider of this process: at its end, and in tests."""
    _registry.close()


@dataclass(frozen=True)
class _Shared:
    config: MongoConfig
    client: Client


class _Registry:
    """The shared clients and token providers of one process."""

    def __init__(self) -> None:
        self._inherited: list[object] = []
        self._begin_process()

    def _begin_process(self) -> None:
        self._lock = threading.Lock()
        self._shared: dict[tuple[str, Purpose], _Shared] = {}
        self._retired: list[tuple[float, Client]] = []
        self._providers: dict[MongoEntraConfig, MongoEntraTokenProvider] = {}

    def begin_child(self) -> None:
        """Forget the parent's clients without closing them: their sockets are the parent's."""
        self._inherited.append((self._shared, self._retired, self._providers))
        self._begin_process()

    def client(self, name: str, purpose: Purpose) -> Client:
        config = _config_of(name)
        with self._lock:
            self._close_retired(time.monotonic() - _GRACE)
            shared = self._shared.get((name, purpose))
            if shared is None or shared.config != config:
                if shared is not None:
                    self._retired.append((time.monotonic(), shared.client))
                shared = _Shared(config, self._build(name, config, purpose))
                self._shared[name, purpose] = shared
            return shared.client

    def retire(self, name: str) -> None:
        with self._lock:
            for key in [key for key in self._shared if key[0] == name]:
                self._retired.append((time.monotonic(), self._shared.pop(key).client))

    def close(self) -> None:
        with self._lock:
            now = time.monotonic()
            self._retired += [(now, shared.client) for shared in self._shared.values()]
            self._shared.clear()
            self._close_retired(now)
            for provider in self._providers.values():
                provider.close()
            self._providers.clear()

    def _build(self, name: str, config: MongoConfig, purpose: Purpose) -> Client:
        policy = MongoPolicy.from_settings()
        provider = None
        if config.auth_method == AuthMethod.ENTRA:
            config.validate(policy)
            identity = entra_config(config, policy)
            provider = self._providers.get(identity)
            if provider is None:
                provider = self._providers[identity] = new_mongo_entra_provider(identity)
        return new_mongo_client(
            config,
            policy=policy,
            provider=provider,
            defaults=_SHARED_DEFAULTS[purpose],
            name=name,
        )

    def _close_retired(self, before: float) -> None:
        for moment, client in self._retired:
            if moment <= before:
                _close(client)
        self._retired = [entry for entry in self._retired if entry[0] > before]


def _config_of(name: str) -> MongoConfig:
    # Needs Django's apps, which a use of new_mongo_client alone does not.
    from replication.models import Connection

    try:
        return Connection.objects.get(name=name).mongo_config()
    except Connection.DoesNotExist:
        raise UnknownConnection(
            f"There is no connection {name!r}: add it in the admin under Replication, Connections."
        ) from None


def _without(given: set[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the address says, under whatever capitals."""
    return {name: value for name, value in options.items() if name.lower() not in given}


def _refuse_foreign_nodes(config: MongoConfig, policy: MongoPolicy) -> None:
    """Look an SRV address up, and refuse it if it leads to a host that may not get a token."""
    if not config.connection_uri.startswith("mongodb+srv://"):
        return  # validate() has seen its hosts
    nodes = parse_uri(config.connection_uri)["nodelist"]
    foreign = [host for host, _port in nodes if not policy.allows(host)]
    if foreign:
        raise InvalidConfiguration([host_refusal(host) for host in foreign])


def _close(client: Client) -> None:
    try:
        client.close()
    except PyMongoError as error:
        # Ending the server's sessions failed; they expire by themselves.
        log.info("mongo_client_close_failed", error=type(error).__name__)


_registry = _Registry()
os.register_at_fork(after_in_child=_registry.begin_child)
