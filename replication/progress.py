"""How far a snapshot is, and how long it will take."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database

from replication.parts import Part, Parts
from replication.position import MongoTracker, Phase

# A worker that has committed nothing for so long counts as not working. Moments are the workers'
# clocks: one that is wrong spoils an estimate, nothing else.
_STILL = timedelta(seconds=60)


@dataclass(frozen=True)
class SnapshotProgress:
    """Documents of the source: how many are copied, and of how many (about)."""

    copied: int
    total: int
    left: timedelta | None  # at the rate of the last seconds; None while nobody copies
    parts_done: int
    parts: int

    @property
    def share(self) -> float:
        """How much is copied, from 0 to 1."""
        return min(1.0, self.copied / self.total) if self.total else 0.0


def snapshot_progress(
    control_database: Database[dict[str, Any]], stream_key: str
) -> SnapshotProgress | None:
    """Return the progress of a stream's snapshot, or None when none is under way."""
    position = MongoTracker(control_database).load(stream_key)
    if position is None or position.phase is not Phase.SNAPSHOT:
        return None
    return progress_of(
        Parts(control_database).of(stream_key), position.snapshot_total or 0, datetime.now(UTC)
    )


def progress_of(parts: Sequence[Part], total: int, now: datetime) -> SnapshotProgress:
    """Add the parts up. The total is an estimate, which what is copied may exceed."""
    copied = sum(part.copied for part in parts)
    done = sum(part.done for part in parts)
    whole = bool(parts) and done == len(parts)
    total = copied if whole else max(total, copied)
    moving = [part for part in parts if part.moved_at is not None and now - part.moved_at <= _STILL]
    rate = sum(part.rate for part in moving if not part.done)
    if not rate and moving:  # between two parts
        rate = max(moving, key=lambda part: part.moved_at or now).rate
    seconds = 0.0 if whole else (total - copied) / rate if rate else None
    left = None if seconds is None else timedelta(seconds=seconds)
    return SnapshotProgress(copied, total, left, done, len(parts))
