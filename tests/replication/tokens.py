"""A token service and a clock for tests of the provider."""

import threading
from collections.abc import Callable

from replication.auth.azure_entra import AccessToken, AzureEntraConfig, TokenRequestFailed
from replication.auth.mongo_entra import MongoEntraConfig, MongoEntraTokenProvider, RetryConfig

SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
CANARY = "canary-7d1f"


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Service:
    """Gives numbered tokens, refuses while ``down``, and can be held."""

    def __init__(self, clock: Callable[[], float], *, life: float = 3600.0) -> None:
        self.clock, self.life = clock, life
        self.requests = 0
        self.down = False
        self.repeat: str | None = None
        self.released = threading.Event()
        self.released.set()

    def request_token(self, scope: str) -> AccessToken:
        self.requests += 1
        assert self.released.wait(20)
        if self.down:
            raise TokenRequestFailed("the service is down")
        return AccessToken(
            self.repeat or f"{CANARY}-{self.requests}", expires_at=self.clock() + self.life
        )


def provider_of(
    service: Service, *, attempts: int = 1, background: bool = False
) -> MongoEntraTokenProvider:
    config = MongoEntraConfig(
        identity=AzureEntraConfig(), scope=SCOPE, retry=RetryConfig(attempts=attempts)
    )
    return MongoEntraTokenProvider(
        config, service, clock=service.clock, pause=lambda _: None, background=background
    )
