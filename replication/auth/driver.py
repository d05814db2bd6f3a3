"""The driver's way to the token provider."""

from pymongo.auth_oidc import OIDCCallback, OIDCCallbackContext, OIDCCallbackResult

from replication.auth.mongo_entra import MongoEntraTokenProvider
from replication.errors import TokenUnavailable


class EntraCallback(OIDCCallback):
    """Answers pymongo's request for a token, for one client. Keeps nothing but its end.

    pymongo returns a callback's ``refresh_token`` with its next request, and it asks again only
    after a server has refused the token: so the number that travels there says which one it was.
    The driver would wait a minute for a token; ``timeout`` (seconds) shortens that.
    """

    def __init__(self, provider: MongoEntraTokenProvider, *, timeout: float = 10.0) -> None:
        self._provider = provider
        self._timeout = timeout
        self._stopped = False

    def fetch(self, context: OIDCCallbackContext) -> OIDCCallbackResult:
        """Return the current token. Raises TokenUnavailable, which open streams survive."""
        if self._stopped:
            raise TokenUnavailable("This client is being closed: it asks for no more tokens.")
        refused = int(context.refresh_token) if context.refresh_token else None
        credentials = self._provider.get_mongo_token(
            timeout=min(context.timeout_seconds, self._timeout), refused=refused
        )
        return OIDCCallbackResult(
            access_token=credentials.token, refresh_token=str(credentials.generation)
        )

    def stop(self) -> None:
        """Refuse from now on: a client that ends its sessions must not ask Entra ID for that."""
        self._stopped = True
