"""A token service and a clock for tests of the provider."""

import threading
import time
from collections.abc import Callable

from replication.auth.azure_entra import AccessToken, TokenRequestFailed
from replication.auth.mongo_entra import (
    Clocks,
    MongoEntraConfig,
    MongoEntraTokenProvider,
    RetryConfig,
)

SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
CANARY = "canary-7d1f"


class Clock:
    """Seconds that a test moves: as time goes by, or as somebody sets the clock."""

    def __init__(self) -> None:
        self._now = 1_000_000.0
        self._elapsed = 5_000.0

    @property
    def now(self) -> float:
        return self._now

    @now.setter
    def now(self, moment: float) -> None:
        self._elapsed += max(0.0, moment - self._now)
        self._now = moment

    def jump(self, seconds: float) -> None:
        """Set the clock, in no time."""
        self._now += seconds

    def elapsed(self) -> float:
        return self._elapsed

    def __call__(self) -> float:
        return self._now


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
    config = MongoEntraConfig(scopes=(SCOPE,), retry_config=RetryConfig(attempts=attempts))
    return MongoEntraTokenProvider(
        config, service, clocks=clocks_of(service.clock), background=background
    )


def clocks_of(clock: Callable[[], float]) -> Clocks:
    """The clocks of a test; it never waits between attempts."""
    elapsed = clock.elapsed if isinstance(clock, Clock) else time.monotonic
    return Clocks(now=clock, elapsed=elapsed, pause=lambda _: None)
