"""What an operator's Prometheus reads: this process group's numbers, and how far flows are behind.

The web's are at /metrics, for those that METRICS_ALLOWED_NETWORKS names; each worker has a port of
its own (``finops.metrics_port``).
"""

import os
import re
import time
from collections.abc import Iterator
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
from replication.status import flow_names, flow_status

log = structlog.get_logger(__name__)

_EXPIRY: Final = "replicator_mongo_token_expiry_timestamp_seconds"
_PRESENT = re.compile(r"gauge_live\w+_(\d+)\.db")
_FLOWS_TIME = 5.0  # seconds for all flows together: less than a scrape waits


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
    """How far each flow's copy is behind its source, looked up when somebody asks."""

    def collect(self) -> Iterator[Metric]:
        """Yield the lag of every flow that can be told within a few seconds."""
        lags = GaugeMetricFamily(
            "replicator_flow_lag_seconds",
            "How old the state of the source is that a flow's copy shows.",
            labels=["flow"],
        )
        until = time.monotonic() + _FLOWS_TIME
        try:
            for name in flow_names():
                lag = flow_status(name).lag_seconds if time.monotonic() < until else None
                if lag is not None:
                    lags.add_metric([name], lag)
        except DatabaseError as error:
            log.warning("flow_metrics_failed", error=type(error).__name__)
        yield lags


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
