"""The provider of Entra tokens for MongoDB: one per identity, with one cache per resource."""

from collections.abc import Mapping
from typing import Any

from pymongo.auth_oidc import OIDCCallbackContext, OIDCCallbackResult
from pymongo.collection import Collection

from replication.auth.access import Access, check_rights, check_token
from replication.auth.azure_entra import AzureEntraProvider, TokenSource
from replication.auth.cache import TokenCache
from replication.auth.config import MongoEntraConfig, RetryConfig, resource_of, scope_of
from replication.auth.credentials import Clocks, Credentials
from replication.errors import InvalidConfiguration
from replication.policy import scope_form_problem

__all__ = [
    "Access",
    "Clocks",
    "Credentials",
    "MongoEntraConfig",
    "MongoEntraTokenProvider",
    "RetryConfig",
    "new_mongo_entra_provider",
]


class MongoEntraTokenProvider:
    """Hands out tokens, from memory while they last. Safe for threads and over forks.

    All clients of a process that sign in as one identity should share one provider.
    """

    def __init__(
        self,
        config: MongoEntraConfig,
        source: TokenSource,
        *,
        clocks: Clocks | None = None,
        background: bool = True,
    ) -> None:
        self._config = config
        self._source = source
        self._clocks = clocks or Clocks()
        self._background = background
        self._caches: dict[str, TokenCache] = {}
        self._cache(config.scope)

    def get_mongo_token(
        self,
        resource_uri: str | None = None,
        *,
        timeout: float | None = None,
        refused: int | None = None,
    ) -> Credentials:
        """Return a token with some life left that no server has refused.

        ``resource_uri`` (``https://<resource>``) is the configured one where it is not given. Waits
        at most ``timeout`` seconds for a request (the configuration's where not given, never less
        than one). ``refused`` is the generation of the token that a server has just refused or
        called expired.

        Raises:
            TokenUnavailable: after the wait, after a failed request, or at once within a second
                of one. A token that is still valid is returned instead.
            InvalidConfiguration: ``resource_uri`` cannot be one.
        """
        scope = self._config.scope if resource_uri is None else scope_of(resource_uri)
        wait = self._config.timeout if timeout is None else timeout
        return self._cache(scope).get(timeout=wait, refused=refused)

    def get_oidc_credential(
        self, context: OIDCCallbackContext, *, timeout: float | None = None
    ) -> OIDCCallbackResult:
        """Answer the driver's request for a token; raises TokenUnavailable.

        pymongo returns an answer's ``refresh_token`` with its next request, and it asks again only
        after a server has refused the token: so the number that travels there says which one it
        was. The driver would wait a minute; ``timeout`` (seconds) shortens that.
        """
        patience = self._config.timeout if timeout is None else timeout
        refused = int(context.refresh_token) if context.refresh_token else None
        credentials = self.get_mongo_token(
            timeout=min(context.timeout_seconds, patience), refused=refused
        )
        return OIDCCallbackResult(
            access_token=credentials.token, refresh_token=str(credentials.generation)
        )

    def validate_mongo_access(
        self,
        token: str,
        resource_uri: str | None = None,
        *,
        collection: "Collection[Any] | None" = None,
        access: Access = Access.READ,
    ) -> Mapping[str, str]:
        """Check that a token can open a connection, and that its identity has the rights for it.

        First what the token says: audience, tenant, expiry, identity. Then, with a ``collection``
        of a client that signs in as that identity, the server is asked whether it may be read and
        watched, or written; nothing is written by that.

        Returns:
            tenant_id, object_id and client_id of the identity, for whoever gives it rights.

        Raises:
            SignInFailed: the token cannot be accepted, or was not.
            MissingPermission: the identity is signed in, and lacks a right.
            TokenUnavailable, PyMongoError: the question got no answer.
        """
        identity = check_token(
            token,
            audience=resource_of(scope_of(resource_uri or self._config.scope)),
            tenant_id=self._config.credential.tenant_id,
            client_id=self._config.credential.client_id,
            now=self._clocks.now(),
        )
        if collection is not None:
            check_rights(collection, access)
        return identity

    def refresh_if_due(self) -> None:
        """Renew each token whose time has come, as the background threads do by themselves."""
        for cache in list(self._caches.values()):
            cache.refresh_if_due()

    def close(self) -> None:
        """End the background threads; using the provider again starts them again."""
        for cache in list(self._caches.values()):
            cache.close()

    def _cache(self, scope: str) -> TokenCache:
        found = self._caches.get(scope)
        if found is not None:
            return found
        if problem := scope_form_problem(scope):
            raise InvalidConfiguration([problem])
        # Atomic: of two threads the first one's cache stays, and no lock is there to inherit.
        return self._caches.setdefault(
            scope,
            TokenCache(
                scope,
                self._source,
                retry=self._config.retry_config,
                refresh_before_expiry=self._config.refresh_before_expiry,
                clocks=self._clocks,
                background=self._background,
            ),
        )


def new_mongo_entra_provider(config: MongoEntraConfig) -> MongoEntraTokenProvider:
    """Return a provider that asks Entra ID as ``config`` says. Opens no connection.

    Raises:
        InvalidConfiguration: every problem of the configuration at once.
    """
    config.validate()
    return MongoEntraTokenProvider(config, AzureEntraProvider(config.credential))
