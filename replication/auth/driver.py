"""The driver's way to the token provider, and the measure of what it does there."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from pymongo.auth_oidc import OIDCCallback, OIDCCallbackContext, OIDCCallbackResult
from pymongo.errors import ConnectionFailure, OperationFailure
from pymongo.synchronous.auth_oidc import _OIDCAuthenticator
from pymongo.synchronous.mongo_client import MongoClient
from pymongo.synchronous.pool import Connection

from replication.auth.events import AuthEvent, announce
from replication.auth.mongo_entra import MongoEntraTokenProvider
from replication.errors import TokenUnavailable, describe
from replication.metrics import observe_sign_in

Answer = Mapping[str, Any] | None


class EntraCallback(OIDCCallback):
    """Answers pymongo's request for a token, for one client. Keeps nothing but its end.

    ``timeout`` (seconds) bounds the wait for a token, which the driver would let last a minute.
    """

    def __init__(self, provider: MongoEntraTokenProvider, *, timeout: float = 10.0) -> None:
        self._provider = provider
        self._timeout = timeout
        self._stopped = False

    def fetch(self, context: OIDCCallbackContext) -> OIDCCallbackResult:
        """Return the current token. Raises TokenUnavailable, which open streams survive."""
        if self._stopped:
            raise TokenUnavailable("This client is being closed: it asks for no more tokens.")
        return self._provider.get_oidc_credential(context, timeout=self._timeout)

    def stop(self) -> None:
        """Refuse from now on: a client that ends its sessions must not ask Entra ID for that."""
        self._stopped = True


class _ObservedAuthenticator(_OIDCAuthenticator):
    """The driver's own, which tells of each sign-in.

    The driver's public way, command monitoring, would cost every command a tenth of its processor
    time. tests/replication/test_driver_contract.py pins what this relies on.
    """

    connection = ""

    def authenticate(self, conn: Connection) -> Answer:
        return self._observe(super().authenticate, conn, again=False)

    def reauthenticate(self, conn: Connection) -> Answer:
        return self._observe(super().reauthenticate, conn, again=True)

    def _observe(
        self, sign_in: Callable[[Connection], Answer], conn: Connection, *, again: bool
    ) -> Answer:
        began = time.perf_counter()
        error: BaseException | None = None
        try:
            return sign_in(conn)
        except BaseException as failure:
            error = failure
            raise
        finally:
            seconds = time.perf_counter() - began
            reason = _reason(error)
            observe_sign_in(connection=self.connection, seconds=seconds, reason=reason, again=again)
            facts = {"connection": self.connection, "seconds": round(seconds, 4)}
            if error is not None:
                announce(AuthEvent.SIGN_IN_FAILED, reason=reason, error=describe(error), **facts)
            else:
                announce(AuthEvent.REAUTHENTICATED if again else AuthEvent.SIGNED_IN, **facts)


def observe_sign_ins(client: MongoClient[Any], connection: str) -> None:
    """Count and time every sign-in of a new client under the name of its connection."""
    credentials = client.options.pool_options._credentials
    if credentials is None or credentials.cache is None:
        raise TypeError("only clients that sign in have sign-ins to observe")
    authenticator = _ObservedAuthenticator(
        username=credentials.username, properties=credentials.mechanism_properties
    )
    authenticator.connection = connection
    credentials.cache.data = authenticator


def _reason(error: BaseException | None) -> str:
    """Sort a failure into one of a few words, because each is a time series of its own."""
    if error is None:
        return ""
    if isinstance(error, TokenUnavailable):
        return "no_token"
    if isinstance(error, OperationFailure):
        return "refused"
    return "network" if isinstance(error, ConnectionFailure | OSError) else "other"
