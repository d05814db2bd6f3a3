"""A flow at work in this process, without Celery: slices one after the other, in a thread.

It takes the same lease as any worker, so it never works beside one: Celery's workers leave the
flow alone for as long as this lasts, and go on with it afterwards.
"""

import threading
import time
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pymongo
import structlog
from django.db import connections
from pymongo.errors import PyMongoError

from replication.errors import ReplicationError, describe
from replication.lease import Leases, LeaseState
from replication.models import Flow
from replication.mongo import client_for, replace_clients
from replication.position import MongoTracker, Phase, Position, control_database
from replication.spec import StreamSpec
from replication.worker import Clients, Outcome, Timing, run_slice

log = structlog.get_logger(__name__)

_ROW_CHECK = 1.0  # seconds between looks at the flow's row
_PAUSE = 0.5  # seconds before a flow in trouble, or one that another worker has, is tried again
_LOOK = 1.5  # seconds for a look at the destination


class End(StrEnum):
    """Why a flow ended."""

    STOPPED = "stopped"  # as it was told to
    HELD = "held by another worker"
    PAUSED = "paused in the admin"
    FAILED = "failed"


@dataclass(frozen=True)
class Look:
    """A flow as it is stored at one moment."""

    at: float  # monotonic seconds
    position: Position | None = None
    lease: LeaseState | None = None
    error: str = ""

    @property
    def lag(self) -> float | None:
        """Seconds that the copy is behind the source."""
        moments = [
            self.position.position_at if self.position else None,
            self.lease.caught_up_at if self.lease else None,
        ]
        known = [moment for moment in moments if moment is not None]
        if not known:
            return None
        return max(0.0, (datetime.now(UTC) - max(known)).total_seconds())


class ForegroundFlow:
    """Works on one flow in a thread until ``stop`` or until it cannot go on.

    With ``wait`` it waits for a flow that another worker holds; otherwise that is an end.
    """

    def __init__(self, name: str, *, lease: timedelta, wait: bool) -> None:
        self.name = name
        self.end: End | None = None
        self.error = ""
        self.waiting = False  # for another worker to leave
        self._timing = Timing(lease=lease)
        self._wait = wait
        self._stop = threading.Event()
        self._row_at = 0.0
        self._spec: StreamSpec | None = None
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._work_and_tidy,), name=f"flow-{name}"
        )

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Tell it to finish what it is at, and to give up the lease. Returns at once."""
        self._stop.set()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def look(self) -> Look:
        """Read where the flow stands; within 2 seconds, whatever its destination does."""
        now = time.monotonic()
        try:
            flow = Flow.objects.select_related("source", "destination").get(name=self.name)
            with pymongo.timeout(_LOOK):
                control = control_database(client_for(flow.destination.name))
                key = flow.spec().key
                position = MongoTracker(control).load(key)
                return Look(now, position, Leases.seen_in(control).states([key]).get(key))
        except (PyMongoError, ReplicationError) as error:
            return Look(now, error=describe(error))
        except Flow.DoesNotExist:
            return Look(now, error="The flow was removed.")

    def _work_and_tidy(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - ends this flow alone; the command reports it
            self.error = describe(error)
            self.end = End.FAILED
            log.error("flow_ended", flow=self.name, error=self.error)  # noqa: TRY400 - no content
        finally:
            connections.close_all()  # those of this thread

    def _work(self) -> None:
        clients = Clients(get=client_for, replace=replace_clients)
        while self.end is None:
            flow = self._runnable()
            if self._stop.is_set():
                self.end = End.STOPPED
            elif flow is None:
                self.end = End.PAUSED
            else:
                self._spec = flow.spec()
                self._row_at = time.monotonic() + _ROW_CHECK
                result = run_slice(self._spec, clients, self._timing, wanted=self._wanted)
                self._after(flow, result.outcome, result.error)

    def _after(self, flow: Flow, outcome: Outcome, error: str) -> None:
        self.error = error
        if outcome is Outcome.FAILED:
            Flow.objects.filter(id=flow.id).update(failure=error, failed_at=datetime.now(UTC))
            self.end = End.FAILED
        elif outcome in (Outcome.NO_LEASE, Outcome.LOST):
            self.waiting = True
            if self._wait:
                self._stop.wait(_PAUSE)
            elif not self._stop.is_set():
                self.end = End.HELD
        elif outcome is Outcome.TROUBLE:
            self._stop.wait(_PAUSE)

    def _wanted(self) -> bool:
        if self._stop.is_set():
            return False
        self.waiting = False
        now = time.monotonic()
        if now >= self._row_at:
            self._row_at = now + _ROW_CHECK
            flow = self._runnable()
            return flow is not None and flow.spec() == self._spec
        return True

    def _runnable(self) -> Flow | None:
        return (
            Flow.objects.select_related("source", "destination")
            .filter(name=self.name, enabled=True, failure="")
            .first()
        )


class StatusLine:
    """Makes a line of text out of looks at a flow; rates are those since the look before."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._before: Look | None = None

    def text(self, flow: ForegroundFlow, look: Look) -> str:
        """Return where the flow stands."""
        before, self._before = self._before, look
        position = look.position
        parts = [self._name]
        if flow.waiting:
            parts.append("waiting for another worker to leave")
        elif position is None:
            parts.append("starting")
        elif position.phase is Phase.SNAPSHOT:
            parts.append(_copying(look, before))
        else:
            parts.append("streaming" if position.phase is Phase.STREAM else "starting")
            parts.append(f"{position.events:,} events")
            parts.append(f"{_rate(look, before, 'events'):,.0f}/s")
            if look.lag is not None:
                parts.append(f"lag {look.lag:.1f} s")
        if position is not None:
            parts.append(f"{position.batch:,} batches")
        error = look.error or flow.error or (look.lease.error if look.lease else None)
        if error and not flow.waiting:
            parts.append(error)
        return " · ".join(parts)


def _copying(look: Look, before: Look | None) -> str:
    position = look.position
    copied = (position.snapshot_copied if position else 0) or 0
    total = max((position.snapshot_total if position else 0) or 0, copied)
    rate = _rate(look, before, "snapshot_copied")
    left = ""
    if rate > 0:
        left = f", {timedelta(seconds=round((total - copied) / rate))} left"
    return f"copied {copied:,} of {total:,}{left}"


def _rate(look: Look, before: Look | None, field: str) -> float:
    if before is None or before.position is None or look.position is None:
        return 0.0
    more = (getattr(look.position, field) or 0) - (getattr(before.position, field) or 0)
    return max(0.0, more / max(look.at - before.at, 0.001))
