"""How fresh the shown costs are: the latest charge day, and what its replication flow is doing."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Literal

import structlog
from django.core.cache import cache
from django.db.models import F, Max

from accounts.scopes import ALL, Scope
from finops.costs.engine import CostQueryFailed, engine
from finops.costs.published import published
from finops.costs.visible import visible
from finops.formatting import day
from finops.models import Dataset
from replication.status import FlowState, FlowStatus, flow_status

logger = structlog.get_logger(__name__)

LAG_WARNING = timedelta(seconds=60)
# Charges that have arrived are on the pages within a few seconds; longer than this is worth a word.
PUBLISH_NOTICE = timedelta(seconds=10)
# Each page asks, so the answer is shared by those of one second; an unreachable cluster costs its
# timeout, which is paid less often.
_CACHE_SECONDS = 1
_CACHE_SECONDS_UNREACHABLE = 15


class Condition(StrEnum):
    """What a reader has to know about the data's way to the page."""

    CURRENT = "current"
    COPYING = "copying"
    PUBLISHING = "publishing"
    IMPORTING = "importing"
    LAGGING = "lagging"
    STOPPED = "stopped"
    OFF = "off"
    WAITING = "waiting"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a page says above its figures. ``detail`` is for everybody, ``error`` for admins."""

    title: str
    detail: str
    tone: Literal["bad", "warn", "info"]
    error: str = ""
    copied: int | None = None
    total: int | None = None

    @property
    def progress(self) -> str:
        """How far a copy is; empty where that is not known."""
        if self.copied is None or not self.total:
            return ""
        return f"{self.copied:,} of {self.total:,} rows are here."


@dataclass(frozen=True, slots=True)
class Freshness:
    """What the pages know of one data set's way from its source, as read at ``read_at``."""

    latest_day: date | None
    condition: Condition
    read_at: datetime
    replicated_at: datetime | None = None
    waiting_since: datetime | None = None
    copied: int | None = None
    total: int | None = None
    error: str = ""
    last_event_at: datetime | None = None
    # Billing months, as people write them, of which an import has not arrived in whole.
    importing: tuple[str, ...] = ()

    @property
    def behind(self) -> timedelta | None:
        """How long ago the copy was last known to equal its source."""
        return self.read_at - self.replicated_at if self.replicated_at else None

    @property
    def data(self) -> str:
        """Up to when there are charges."""
        return f"Data to {day(self.latest_day)}" if self.latest_day else "No data yet"

    @property
    def replication(self) -> str:
        """When the copy was last known to equal its source, or why that is not known."""
        if self.condition is Condition.COPYING:
            return "copy under way"
        if self.behind is not None:
            return f"replicated {age(self.behind)} ago"
        return {Condition.OFF: "replication is off", Condition.STOPPED: "replication stopped"}.get(
            self.condition, "not replicated yet"
        )

    @property
    def notice(self) -> Notice | None:
        """What stands above the figures; ``None`` where all is well."""
        since = f" The copy is {age(self.behind)} old." if self.behind else ""
        match self.condition:
            case Condition.COPYING:
                return Notice(
                    "The data is being copied",
                    "What you see stays as it was until the copy is whole.",
                    "info",
                    copied=self.copied,
                    total=self.total,
                )
            case Condition.PUBLISHING:
                waited = age(self.read_at - (self.waiting_since or self.read_at))
                detail = f"The oldest that is not shown yet arrived {waited} ago."
                return Notice("New charges are being worked in", detail, "info")
            case Condition.IMPORTING:
                months = f" ({', '.join(self.importing)})" if self.importing else ""
                return Notice(
                    "An import is arriving",
                    f"Its months{months} change here at once, when all of it has arrived.",
                    "info",
                )
            case Condition.LAGGING:
                return Notice(
                    "Replication lags behind its source", since.strip(), "warn", error=self.error
                )
            case Condition.STOPPED:
                detail = f"What you see does not change until an administrator looks.{since}"
                return Notice("Replication has stopped", detail, "bad", error=self.error)
            case Condition.OFF:
                detail = f"What you see stays as it is.{since}"
                return Notice("Replication is switched off", detail, "warn")
            case Condition.WAITING:
                detail = f"No worker is replicating at the moment.{since}"
                return Notice("Replication waits for a worker", detail, "warn")
            case Condition.UNKNOWN:
                detail = "Figures are as of the last time that replication could be seen."
                return Notice(
                    "The state of replication is unknown", detail, "warn", error=self.error
                )
            case Condition.CURRENT:
                return None


def age(span: timedelta) -> str:
    """Write a span of time in its largest unit: ``3 s``, ``4 min``, ``2 h``, ``3 days``."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 2 * 86400:
        return f"{seconds // 3600} h"
    return f"{seconds // 86400} days"


def dataset_freshness(dataset: Dataset, scope: Scope = ALL) -> Freshness:
    """Return the data set's freshness, at most a second old. It never fails a page.

    A cluster that does not answer is reported as an unknown state, and asked again after a while.
    Who sees a part of the rows learns the latest day of that part, and no number of rows.
    """
    known = _of_all_rows(dataset)
    if scope.is_all:
        return known
    latest_day = _latest_day(dataset, scope)
    return replace(known, latest_day=latest_day, copied=None, total=None, importing=())


def _latest_day(dataset: Dataset, scope: Scope) -> date | None:
    try:
        rows = visible(published(dataset), scope, engine())
    except CostQueryFailed as failure:
        logger.warning("freshness_of_scope_unknown", dataset=dataset.name, exc_info=failure)
        return None
    return rows.span.last if rows else None


def _of_all_rows(dataset: Dataset) -> Freshness:
    key = f"freshness:{dataset.pk}:{dataset.flow}"
    known: Freshness | None = cache.get(key)
    if known is None:
        known = _read(dataset)
        unreachable = known.condition is Condition.UNKNOWN
        cache.set(key, known, _CACHE_SECONDS_UNREACHABLE if unreachable else _CACHE_SECONDS)
    return known


def _read(dataset: Dataset) -> Freshness:
    latest_day = dataset.segments.filter(rows__gt=0).aggregate(latest=Max("day"))["latest"]
    try:
        status = flow_status(dataset.flow)
    except Exception as error:
        logger.warning("freshness_unknown", dataset=dataset.name, flow=dataset.flow, exc_info=error)
        return Freshness(
            latest_day=latest_day,
            condition=Condition.UNKNOWN,
            read_at=datetime.now(UTC),
            error=f"{type(error).__name__}: {error}",
        )
    unsettled = dataset.imported_months.exclude(settled_run=F("run"))
    months = sorted(set(unsettled.values_list("billing_period", flat=True)), reverse=True)
    return freshness_of(
        status,
        latest_day=latest_day,
        now=datetime.now(UTC),
        importing=tuple(f"{month:%b %Y}" for month in months),
    )


def freshness_of(
    status: FlowStatus,
    *,
    latest_day: date | None,
    now: datetime,
    importing: tuple[str, ...] = (),
) -> Freshness:
    """Judge a flow's status from the reader's point of view."""
    condition = _condition(status, now)
    if importing and condition in {Condition.CURRENT, Condition.PUBLISHING}:
        condition = Condition.IMPORTING
    return Freshness(
        latest_day=latest_day,
        condition=condition,
        importing=importing,
        last_event_at=status.last_event_at,
        read_at=now,
        replicated_at=status.position_at,
        waiting_since=status.waiting_since,
        copied=status.snapshot_copied,
        total=status.snapshot_total,
        error=status.error or "",
    )


def _condition(status: FlowStatus, now: datetime) -> Condition:
    match status.state:
        case FlowState.DISABLED:
            return Condition.OFF
        case FlowState.FAILED:
            return Condition.STOPPED
        case FlowState.SNAPSHOT:
            return Condition.COPYING
    waiting = status.state is FlowState.WAITING
    if waiting and status.error:
        return Condition.UNKNOWN  # nobody holds the flow, or nobody can be asked who does
    if status.position_at and now - status.position_at <= LAG_WARNING:
        if status.waiting_since and now - status.waiting_since > PUBLISH_NOTICE:
            return Condition.PUBLISHING
        return Condition.CURRENT  # a short wait is the hand-over from one worker to the next
    return Condition.WAITING if waiting else Condition.LAGGING
