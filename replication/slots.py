"""A worker's slot: it takes one stream from the queue, and others that nobody takes beside it.

So there may be more streams than slots, a long snapshot or a dead cluster holds up nobody, and
workers share streams without being told of each other:

- A stream is adopted when it was waiting at several looks in a row, more of them the fuller the
  slot is. So a slot that is free, whose message comes at once, always wins, and among busy ones
  that with the fewest streams.
- After its time the slot hands all of its streams over, each by a message of its own: what a slot
  had for itself is spread over those that are free by then.
- Where streams wait although the slot is full, the one that had the longest turn hands over.
"""

import math
import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog
from django.db import DatabaseError, close_old_connections

from replication.crew import Crew, Work
from replication.errors import InvalidConfiguration, describe
from replication.roster import Roster
from replication.slices import Outcome, SliceResult
from replication.spec import StreamId

log = structlog.get_logger(__name__)

_POLL = 0.1  # seconds between looks at the clock and the stop


@dataclass(frozen=True)
class SlotLimits:
    """How much a slot takes on. Times are in seconds."""

    streams: int = 32  # at once
    time: float = 300.0  # until it hands all of them over
    turn: float = 15.0  # that a stream has at least, before others get its place
    look: float = 2.0  # between looks around
    next_look: float = 0.25  # the same while streams wait, and at the beginning
    looks: int = 2  # at which a stream was waiting, before it is adopted
    streams_per_look: int = 8  # one look more for so many streams that the slot has
    rest: float = 5.0  # for a stream whose work has just ended in trouble


class Slot:
    """Works on streams until its time is over, the worker stops, or there is nothing to do.

    ``work`` works on one; ``waiting`` tells which nobody works on; ``ended`` is told of each end.
    """

    def __init__(
        self,
        work: Work,
        *,
        waiting: Callable[[Roster], Collection[StreamId]],
        ended: Callable[[StreamId, SliceResult], None],
        stopping: Callable[[], bool],
        limits: SlotLimits,
        roster: Callable[[], Roster] = Roster.read,
    ) -> None:
        self._crew = Crew(work, stopping=stopping)
        self._waiting = waiting
        self._ended = ended
        self._stopping = stopping
        self._limits = limits
        self._roster = roster
        self._seen_waiting: dict[StreamId, int] = {}
        self._resting: dict[StreamId, float] = {}  # until when, in monotonic seconds

    def run(self, first: StreamId) -> None:
        """Work on a stream, and on others beside it."""
        now = time.monotonic()
        ends, look_at = now + self._limits.time, now + self._limits.next_look
        with self._crew as crew:
            self._begin(first, self._roster())
            while crew.members:
                now = time.monotonic()
                if now >= ends or self._stopping():
                    crew.end_all()
                elif now >= look_at:
                    soon = self._look_around()
                    pause = self._limits.next_look if soon else self._limits.look
                    look_at = time.monotonic() + pause
                for member, result in crew.ends(_POLL):
                    if result.outcome is Outcome.TROUBLE:
                        self._resting[member.id] = time.monotonic() + self._limits.rest
                    self._ended(member.id, result)

    def _look_around(self) -> bool:
        """Begin and end what has to be; return whether to look again soon."""
        close_old_connections()  # what the database has dropped
        try:
            roster = self._roster()
        except DatabaseError as error:
            # Streams need no rows to go on: whoever pauses a flow needs them too.
            log.warning("flows_not_read", error=type(error).__name__)
            return False
        self._dismiss(roster)
        return self._adopt(roster)

    def _dismiss(self, roster: Roster) -> None:
        """End the streams whose flows were paused or changed."""
        for member in self._crew.members.values():
            if roster.changed(member.id, member.spec):
                member.leave.set()

    def _adopt(self, roster: Roster) -> bool:
        mine, now = self._crew.members, time.monotonic()
        self._resting = {each: until for each, until in self._resting.items() if until > now}
        others = {*mine, *self._resting}
        waiting = [stream for stream in self._waiting(roster) if stream not in others]
        seen = {stream: self._seen_waiting.get(stream, 0) + 1 for stream in waiting}
        self._seen_waiting = seen
        enough = self._limits.looks + len(mine) // self._limits.streams_per_look
        left_over = [stream for stream in waiting if seen[stream] >= enough]
        # Other slots look at the same list: each begins elsewhere, with those that wait longest.
        random.shuffle(left_over)
        left_over.sort(key=seen.__getitem__, reverse=True)
        places = max(0, self._limits.streams - len(mine))
        if len(left_over) > places:
            self._crew.make_place(self._limits.turn)
        # No more than half of them: other slots will see the rest, too.
        adopted = left_over[: min(places, math.ceil(len(left_over) / 2))]
        for stream in adopted:
            self._begin(stream, roster)
        return len(adopted) < min(places, len(waiting))

    def _begin(self, stream: StreamId, roster: Roster) -> None:
        try:
            spec = roster.spec(stream)
        except InvalidConfiguration as error:
            self._ended(stream, SliceResult(Outcome.FAILED, f"Configuration: {describe(error)}"))
            return
        if spec is not None:
            self._crew.begin(stream, spec)
