"""Failures on demand: what the next answers of a group of endpoints shall be."""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from sandbox.entra.exchange import Response


class Endpoints(StrEnum):
    """The groups of endpoints that can be made to fail."""

    DISCOVERY = "discovery"
    KEYS = "keys"
    TOKEN = "token"  # noqa: S105 - the name of an endpoint
    GRAPH = "graph"


class FaultKind(StrEnum):
    """What happens instead of, or before, the real answer."""

    STATUS = "status"  # answer with this status, and Retry-After where it is given
    SLOW = "slow"  # wait, then answer as always
    MALFORMED = "malformed"  # a body that breaks off, with status 200
    FOREIGN_NEXT_LINK = "foreign_next_link"  # the real answer, its next page on a stranger's host
    DROPPED = "dropped"  # close the connection without an answer


FOREIGN_NEXT_LINK = "https://graph.stranger.invalid/v1.0/next"


@dataclass(frozen=True)
class Fault:
    """One kind of failure, for the next ``times`` answers; None means until it is cleared."""

    kind: FaultKind
    times: int | None = 1
    status: int = 503
    retry_after: str | None = None
    seconds: float = 0.0

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> "Fault":
        """The fault of a control call's body. Raises ``ValueError``, naming what is wrong."""
        kinds = ", ".join(FaultKind)
        try:
            kind = FaultKind(str(content.get("kind")))
        except ValueError as error:
            raise ValueError(
                f"kind is {content.get('kind')!r}; expected one of {kinds}."
            ) from error
        times, status = content.get("times", 1), content.get("status", 503)
        seconds, retry_after = content.get("seconds", 0), content.get("retry_after")
        if times is not None and (not isinstance(times, int) or times < 1):
            raise ValueError(f"times is {times!r}; expected a count from 1, or null for always.")
        if not isinstance(status, int) or not 400 <= status <= 599:
            raise ValueError(f"status is {status!r}; expected 400 to 599.")
        if not isinstance(seconds, int | float) or not 0 <= seconds <= 120:
            raise ValueError(f"seconds is {seconds!r}; expected 0 to 120.")
        return cls(
            kind, times, status, None if retry_after is None else str(retry_after), float(seconds)
        )


class Faults:
    """The failures that wait for their turn, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Endpoints, deque[Fault]] = {group: deque() for group in Endpoints}

    def add(self, group: Endpoints, fault: Fault) -> None:
        """Fail the next answers of ``group``, after the failures that already wait."""
        with self._lock:
            self._waiting[group].append(fault)

    def clear(self) -> None:
        """Everything works again."""
        with self._lock:
            for queue in self._waiting.values():
                queue.clear()

    def next(self, group: str) -> Fault | None:
        """The failure of this answer; None where it shall succeed."""
        if not group:
            return None
        with self._lock:
            queue = self._waiting[Endpoints(group)]
            if not queue:
                return None
            fault = queue[0]
            if fault.times == 1:
                queue.popleft()
            elif fault.times is not None:
                queue[0] = replace(fault, times=fault.times - 1)
            return fault


class Hits:
    """How many requests each endpoint had, failed ones included."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, name: str) -> None:
        """One more."""
        with self._lock:
            self._counts[name] += 1

    def as_json(self) -> dict[str, int]:
        """Name of the endpoint to count; an endpoint without a request is missing."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def reset(self) -> None:
        """Begin again at zero."""
        with self._lock:
            self._counts.clear()


def malformed() -> Response:
    """An answer that claims to be JSON and breaks off."""
    return Response(200, "application/json; charset=utf-8", b'{"value": [{"id": "')
