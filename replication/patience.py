"""When to go on, when to wait, and when to leave."""

import random
import time
from collections.abc import Callable

import structlog
from pymongo.errors import ConnectionFailure, OperationFailure

from replication.errors import (
    Interrupted,
    LeaseLost,
    TokenUnavailable,
    describe,
    is_throttled,
    wanted_pause,
)
from replication.lease import LeaseKeeper
from replication.throttle import Throttle

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 3.0  # seconds between attempts
# Without a token the cache answers at once, and asks Entra ID again a second after it has failed.
# With no longer than this between attempts, work goes on within two seconds of Entra ID's return.
_LONGEST_TOKEN_PAUSE = 0.5  # seconds
_LONGEST_WANTED = 30.0  # seconds that a server may ask for
_LOOK_AROUND = 0.1  # seconds between looks at the stop while waiting
_CONFLICTS = frozenset({112, 251})  # WriteConflict, NoSuchTransaction


class Patience:
    """Knows whether a slice is still wanted and its lease held, and waits between attempts.

    Its ``throttle`` says how much to attempt at once. ``retried`` is told the kind of each failure,
    as metrics name it: throttled, no_token, network, conflict or other.
    """

    def __init__(
        self,
        keeper: LeaseKeeper,
        wanted: Callable[[], bool],
        *,
        log: structlog.stdlib.BoundLogger,
        retried: Callable[[str], None] = lambda _kind: None,
    ) -> None:
        self._keeper = keeper
        self._wanted = wanted
        self._log = log
        self._retried = retried
        self.throttle = Throttle()

    def check(self) -> None:
        """Return if the work should go on.

        Raises:
            LeaseLost: the stream may have another owner.
            Interrupted: the slice is over.
        """
        if self._keeper.lost:
            raise LeaseLost("The lease could not be renewed, or another worker has it.")
        if not self._wanted():
            raise Interrupted("The slice is over.")

    def pause(self, attempt: int, error: BaseException) -> None:
        """Wait after the failed attempt number ``attempt`` (from 1), longer each time.

        A server that asks for a longer pause gets it, up to half a minute, and less at once after
        it. Whoever looks at the flow meanwhile sees the error. Raises as ``check`` does.
        """
        reason = describe(error)
        self._log.warning("attempt_failed", attempt=attempt, error=reason)
        self._retried(_kind(error))
        self._keeper.report(error=reason, caught_up_at=None)
        longest = _LONGEST_TOKEN_PAUSE if isinstance(error, TokenUnavailable) else _LONGEST_PAUSE
        ceiling = min(longest, _FIRST_PAUSE * 2 ** min(attempt - 1, 10))
        pause = random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter
        if is_throttled(error):
            self.throttle.slow_down()
            pause = max(pause, min(wanted_pause(error), _LONGEST_WANTED))
        until = time.monotonic() + pause
        while (left := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, _LOOK_AROUND))
        self.check()


def _kind(error: BaseException) -> str:
    if isinstance(error, TokenUnavailable):
        return "no_token"
    if is_throttled(error):
        return "throttled"
    if isinstance(error, OperationFailure) and error.code in _CONFLICTS:
        return "conflict"
    return "network" if isinstance(error, ConnectionFailure) else "other"
