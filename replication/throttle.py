"""How much is written at once: all that is allowed, or less while a server cannot keep up."""

import time
from collections.abc import Callable
from dataclasses import replace

from replication.changes import BatchLimits

_LEAST = 1 / 1000
_FEWEST, _MOST = 100, 10_000  # writes of a statement
_QUICK, _SLOW = 0.2, 0.5  # seconds for one
_MOST_KEYS = 3_200  # of a query
_SAMPLES = 3  # queries that are compared with others, as a single one may be slow by chance
_GROWTH = 0.05  # of everything, per second


class Throttle:
    """Halves batches whenever a server is too busy, and lets them grow again slowly.

    One thread may look at ``limits`` while another one slows down.
    """

    def __init__(
        self, most: BatchLimits | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most or BatchLimits()
        self._clock = clock
        self._slowed = (1.0, 0.0)  # the share that was left, and when

    @property
    def share(self) -> float:
        """How much of everything is allowed now, up to 1."""
        share, since = self._slowed
        return 1.0 if share >= 1 else min(1.0, share + _GROWTH * (self._clock() - since))

    @property
    def limits(self) -> BatchLimits:
        """What a batch may hold now."""
        share = self.share
        if share >= 1:
            return self._most
        return replace(
            self._most,
            writes=max(1, int(self._most.writes * share)),
            size=max(1, int(self._most.size * share)),
        )

    def slow_down(self) -> None:
        """Allow half of what is allowed now."""
        self._slowed = (max(_LEAST, self.share / 2), self._clock())


class StatementPace:
    """How many writes go into one statement: the more, the quicker the server is.

    Each costs a round trip. But a statement that runs when its session is ended is waited for, by
    whoever takes a dead owner's stream over: none should last longer than half a second.
    """

    def __init__(self, writes: int = 1_000) -> None:
        self.writes = writes

    def note(self, writes: int, seconds: float) -> None:
        """Learn from a statement that has been answered."""
        if seconds > _SLOW:
            self.writes = max(_FEWEST, self.writes // 2)
        elif seconds < _QUICK and writes >= self.writes:
            self.writes = min(_MOST, self.writes * 2)


class LookupPace:
    """How many keys go into one query: more, as long as that makes each of them cheaper.

    Each query costs a round trip. But some servers' time grows with the square of the keys.
    """

    def __init__(self) -> None:
        self.keys = _FEWEST
        self._best = float("inf")  # seconds for a key, with fewer keys
        self._seen: list[float] = []
        self._settled = False

    def note(self, keys: int, seconds: float) -> None:
        """Learn from a query that has been answered."""
        if self._settled or keys < self.keys:
            return
        self._seen.append(seconds / keys)
        if len(self._seen) < _SAMPLES:
            return
        fastest = min(self._seen)
        self._seen.clear()
        if fastest > self._best:
            self.keys //= 2
            self._settled = True
        else:
            self._best = fastest
            self.keys *= 2
            self._settled = self.keys >= _MOST_KEYS
