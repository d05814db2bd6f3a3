"""How many changes came in each of the last minutes, kept in the position that counts them."""

from collections.abc import Sequence
from datetime import datetime

MINUTES = 30
_MINUTE = 60

# (minutes since the epoch, events) of minutes in which changes were committed, oldest first.
Recent = Sequence[Sequence[int]]


def counted(recent: Recent, events: int, now: datetime) -> list[list[int]]:
    """Return ``recent`` with ``events`` more in the minute of ``now``, and none that is older."""
    minute = _minute(now)
    kept = [list(each) for each in recent if minute - MINUTES < each[0] <= minute]
    if not events:
        return kept
    if kept and kept[-1][0] == minute:
        kept[-1][1] += events
    else:
        kept.append([minute, events])
    return kept


def by_minute(recent: Recent, now: datetime) -> tuple[int, ...]:
    """Return the events of each of the last ``MINUTES`` minutes, the one of ``now`` last."""
    found = {each[0]: each[1] for each in recent}
    last = _minute(now)
    return tuple(found.get(minute, 0) for minute in range(last - MINUTES + 1, last + 1))


def _minute(now: datetime) -> int:
    return int(now.timestamp()) // _MINUTE
