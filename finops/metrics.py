"""What an operator's Prometheus reads: this process group's numbers, and how far flows are behind.

The web's are at /metrics, for those that METRICS_ALLOWED_NETWORKS names; each worker has a port of
its own (``finops.metrics_port``).
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from accounts.addresses import client_address
from accounts.guard import public
from finops.metrics_folder import process_exists
from replication.status import FlowStatus, statuses, stuck_streams

log = structlog.get_logger(__name__)

_EXPIRY: Final = "replicator_mongo_token_expiry_timestamp_seconds"
_PRESENT = re.compile(r"gauge_live\w+_(\d+)\.db")


class GroupMetrics(Collector):
    """The numbers of this process and of all others in its group."""

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, with the tokens' expiry also as seconds from now."""
        for metric in self._source().collect():
            yield metric
            if metric.name == _EXPIRY:
                yield _seconds_left(metric)

    def _source(self) -> Collector:
        folder = settings.METRICS_GROUP_DIR
        if folder is None:
            return REGISTRY
        forget_dead_processes(folder)
        return MultiProcessCollector(None, path=str(folder))


class FlowMetrics(Collector):
    """How flows are going, looked up when somebody asks.

    What the owner of a flow had written down would stay as it is when the owner dies, and say of
    a flow that stands still that it is not behind.
    """

    def __init__(self, look: Callable[[], Sequence[FlowStatus]] = statuses) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        """Yield what can be told within a few seconds."""
        lags = _gauge("flow_lag_seconds", "How old the state is that a copy shows.", "collection")
        letters = _gauge("flow_dead_letters", "Documents that the destination refuses for good.")
        stuck = _gauge("flow_stuck", "How many collections do not get on: see flows status.")
        copied = _gauge("snapshot_progress_ratio", "How much of a copy is there.", "collection")
        try:
            for status in self._look():
                _moments.note(status)
                for collection, lag in _moments.lags(status):
                    lags.add_metric([status.name, collection], lag)
                if status.unseen is None:
                    letters.add_metric([status.name], status.dead_letters)
                stuck.add_metric([status.name], len(list(stuck_streams(status))))
                for stream in status.streams:
                    if stream.copying and stream.snapshot_total:
                        ratio = min(1.0, (stream.snapshot_copied or 0) / stream.snapshot_total)
                        copied.add_metric([status.name, stream.collection], ratio)
        except DatabaseError as error:
            log.warning("flow_metrics_failed", error=type(error).__name__)
        yield from (lags, letters, stuck, copied)


class _Moments:
    """Up to when each copy held everything, as this process has last seen it.

    While a destination does not answer, its flows' lags go on growing from there.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], datetime] = {}

    def note(self, status: FlowStatus) -> None:
        """Remember what a look has shown, and forget what a flow no longer has."""
        if status.unseen is None:
            kept = {key: at for key, at in self._known.items() if key[0] != status.name}
            for stream in status.streams:
                if stream.position_at is not None:
                    kept[status.name, stream.collection] = stream.position_at
            self._known = kept

    def lags(self, status: FlowStatus) -> Iterator[tuple[str, float]]:
        """Yield the lag of each collection of a flow in seconds, unless the flow is paused."""
        if not status.enabled:
            return
        now = datetime.now(UTC)
        for (name, collection), at in self._known.items():
            if name == status.name:
                yield collection, max(0.0, (now - at).total_seconds())


_moments = _Moments()


def _gauge(name: str, says: str, *more_labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"replicator_{name}", says, labels=["flow", *more_labels])


@public  # to the networks below; whoever scrapes has no session
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Everything that Prometheus asks the web server for; 404 for whoever may not ask."""
    if not may_read(request):
        raise Http404
    registry = group_registry()
    registry.register(FlowMetrics())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def group_registry() -> CollectorRegistry:
    """Return a new registry that shows this process group's numbers."""
    registry = CollectorRegistry()
    registry.register(GroupMetrics())
    return registry


def may_read(request: HttpRequest) -> bool:
    """Whether the request comes from METRICS_ALLOWED_NETWORKS.

    One that came over a proxy which the settings do not know of may be anybody's, although it seems
    to come from this machine.
    """
    if not settings.TRUSTED_PROXY_COUNT and (
        "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    ):
        return False
    address = client_address(request)
    if address is None:
        return False
    parsed = ip_address(address)
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in network for network in settings.METRICS_ALLOWED_NETWORKS)


def forget_dead_processes(folder: Path) -> None:
    """Drop the present of processes that were killed; what they have counted stays."""
    for name in os.listdir(folder):
        found = _PRESENT.fullmatch(name)
        if found and not process_exists(int(found[1])):
            mark_process_dead(int(found[1]), str(folder))


def _seconds_left(expiry: Metric) -> Metric:
    left = GaugeMetricFamily(
        "replicator_mongo_token_expires_in_seconds",
        "How long the token in memory lasts; of several processes, the shortest.",
        labels=["scope"],
    )
    for sample in expiry.samples:
        left.add_metric([sample.labels["scope"]], sample.value - time.time())
    return left
