"""What all connections of one gate share: the rules, the clock and the counters."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.gate.statistics import Statistics
from sandbox.gate.tokens import TokenVerifier

log = logging.getLogger("sandbox.gate")


@dataclass
class Policy:
    """How a gate decides. ``restricted`` refuses and hides what Azure lacks."""

    verifier: TokenVerifier
    restricted: bool = True
    clock: Callable[[], float] = time.time
    statistics: Statistics = field(default_factory=Statistics)

    def note_refused_token(self, reason: str) -> None:
        """Log why a sign-in failed; ``reason`` holds no part of the token."""
        log.warning("sign-in refused", extra={"fields": {"reason": reason}})
