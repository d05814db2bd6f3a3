"""A flow at work in this process, without Celery: its streams side by side, for as long as told.

They take the same leases as any worker's, so none ever works beside one: Celery's workers leave
them alone for as long as this lasts, and go on with them afterwards.
"""

import random
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import structlog
from django.db import connections

from replication.crew import Crew
from replication.errors import InvalidConfiguration, describe
from replication.mongo import client_for, replace_clients
from replication.preparing import prepare_copy
from replication.roster import Roster
from replication.slices import Clients, Outcome, SliceResult, Timing
from replication.spec import StreamId, StreamSpec
from replication.status import FlowStatus, UnknownFlow, flow_status
from replication.steering import note_failure
from replication.waiting import seen_streams
from replication.worker import run_slice

log = structlog.get_logger(__name__)

_LOOK = 1.0  # seconds between looks at the flow's row, and for streams that nobody works on
_POLL = 0.1  # seconds between looks at the stop
_MOST = 64  # collections of one flow at once, each in a thread
_TURN = 15.0  # seconds that each has at least, before others get its place


class End(StrEnum):
    """Why a flow ended."""

    STOPPED = "stopped"  # as it was told to
    HELD = "held by another worker"
    PAUSED = "paused in the admin"
    FAILED = "failed"


@dataclass(frozen=True)
class Look:
    """A flow as it is seen at one moment."""

    at: float  # monotonic seconds
    status: FlowStatus | None = None
    error: str = ""


class ForegroundFlow:
    """Works on one flow in threads until ``stop`` or until it cannot go on.

    With ``wait`` it waits for what another worker holds; otherwise it ends when that is all.
    """

    def __init__(self, name: str, *, lease: timedelta, wait: bool) -> None:
        self.name = name
        self.end: End | None = None
        self.error = ""
        self.waiting = False  # for other workers to leave
        self._timing = Timing(lease=lease)
        self._wait = wait
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._work_and_tidy,), name=f"flow-{name}"
        )

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Tell it to finish what it is at, and to give up its leases. Returns at once."""
        self._stop.set()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def look(self) -> Look:
        """See where the flow stands; within 2 seconds, whatever its destination does."""
        now = time.monotonic()
        try:
            return Look(now, flow_status(self.name))
        except UnknownFlow:
            return Look(now, error="The flow was removed.")

    def _work_and_tidy(self) -> None:
        try:
            with Crew(self._work_on, stopping=self._stop.is_set) as crew:
                self._work(crew)
        except Exception as error:  # noqa: BLE001 - ends this flow alone; the command reports it
            self.error = describe(error)
            self.end = End.FAILED
            log.error("flow_ended", flow=self.name, error=self.error)  # noqa: TRY400 - no content
        finally:
            connections.close_all()  # those of this thread

    def _work(self, crew: Crew) -> None:
        look_at = 0.0
        while self.end is None:
            if self._stop.is_set():
                self.end = End.STOPPED
            elif time.monotonic() >= look_at:
                self.end = self._look_around(crew)
                look_at = time.monotonic() + _LOOK
            for member, result in crew.ends(_POLL):
                self._after(member.id, result)
        crew.end_all()
        while crew.members:
            for member, result in crew.ends(_POLL):
                self._after(member.id, result)

    def _look_around(self, crew: Crew) -> End | None:
        """Begin and end streams as the flow's row says; return why there is nothing to do."""
        roster = Roster.read(self.name)
        if not roster.flows:
            return End.PAUSED
        for member in crew.members.values():
            if roster.changed(member.id, member.spec):
                member.leave.set()
        seen = seen_streams(roster)
        waiting = [each for each, live in seen.items() if not live and each not in crew.members]
        random.shuffle(waiting)
        places = max(0, _MOST - len(crew.members))
        if len(waiting) > places:
            crew.make_place(_TURN)
        for stream in waiting[:places]:
            self._begin(crew, roster, stream)
        self.waiting = any(seen.values()) and not crew.members
        if self.waiting and not self._wait:
            return End.HELD
        return End.FAILED if roster.failed and not seen and not crew.members else None

    def _begin(self, crew: Crew, roster: Roster, stream: StreamId) -> None:
        try:
            spec = roster.spec(stream)
        except InvalidConfiguration as error:
            self._fail(stream, f"Configuration: {describe(error)}")
        else:
            if spec is not None:
                crew.begin(stream, spec)

    def _work_on(self, spec: StreamSpec, wanted: Callable[[], bool]) -> SliceResult:
        clients = Clients(get=client_for, replace=replace_clients)
        return run_slice(spec, clients, self._timing, wanted=wanted, prepare_copy=prepare_copy)

    def _after(self, stream: StreamId, result: SliceResult) -> None:
        if result.outcome is Outcome.FAILED:
            self._fail(stream, result.error)
        elif result.outcome is Outcome.TROUBLE:
            self.error = result.error

    def _fail(self, stream: StreamId, error: str) -> None:
        self.error = error
        note_failure(stream, error)


class StatusLine:
    """Makes a line of text out of looks at a flow; rates are those since the look before."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._before: Look | None = None

    def text(self, flow: ForegroundFlow, look: Look) -> str:
        """Return where the flow stands."""
        before, self._before = self._before, look
        status = look.status
        parts = [self._name]
        if flow.waiting:
            parts.append("waiting for another worker to leave")
        elif status is None or not any(stream.batches for stream in status.streams):
            parts.append("starting")
        elif status.copying and status.snapshot_copied is not None:
            parts.append(_copying(look, before))
        else:
            parts.append("streaming")
            parts.append(f"{status.events:,} events")
            parts.append(f"{_rate(look, before, 'events'):,.0f}/s")
            if status.lag_seconds is not None:
                parts.append(f"lag {status.lag_seconds:.1f} s")
        if status is not None:
            if len(status.streams) > 1:
                parts.append(f"{len(status.streams):,} collections")
            parts.append(f"{sum(stream.batches for stream in status.streams):,} batches")
        error = look.error or (status.error if status else None) or flow.error
        if error and not flow.waiting:
            parts.append(error)
        return " · ".join(parts)


def _copying(look: Look, before: Look | None) -> str:
    copied = (look.status.snapshot_copied if look.status else 0) or 0
    total = max((look.status.snapshot_total if look.status else 0) or 0, copied)
    rate = _rate(look, before, "snapshot_copied")
    speed = f", {rate:,.0f}/s" if rate > 0 else ""
    left = look.status.snapshot_left if look.status else None
    until = "" if left is None else f", {timedelta(seconds=round(left.total_seconds()))} left"
    return f"copied {copied:,} of {total:,}{speed}{until}"


def _rate(look: Look, before: Look | None, field: str) -> float:
    if before is None or before.status is None or look.status is None:
        return 0.0
    more = (getattr(look.status, field) or 0) - (getattr(before.status, field) or 0)
    return max(0.0, more / max(look.at - before.at, 0.001))
