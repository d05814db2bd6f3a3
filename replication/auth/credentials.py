"""What a token cache hands out, and the clocks that it goes by."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Credentials:
    """A token and what is known of it. Times are in seconds since the epoch.

    From ``refresh_at`` on it is renewed in the background; from ``renew_by`` on callers wait for
    its successor. ``generation`` counts the cache's tokens: hand it back as ``refused`` when a
    server has refused this one.
    """

    token: str = field(repr=False)
    expires_at: float
    refresh_at: float
    renew_by: float
    generation: int
    scope: str
    tenant_id: str | None = None
    object_id: str | None = None


@dataclass(frozen=True)
class Clocks:
    """Where a cache gets the time from: of day, for expiry; since whenever, for pauses."""

    now: Callable[[], float] = time.time
    elapsed: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
