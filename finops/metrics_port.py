"""A worker's own port for its metrics and those of its children."""

from typing import Any

import structlog
from celery import bootsteps
from celery.signals import worker_process_shutdown
from django.conf import settings
from prometheus_client import start_http_server
from prometheus_client.multiprocess import mark_process_dead

from finops.metrics import group_registry

log = structlog.get_logger(__name__)


class MetricsPort(bootsteps.StartStopStep):
    """Serves the group's metrics while the worker runs, from the process that works on no task."""

    requires = ("celery.worker.components:Pool",)  # children must not inherit the socket

    def __init__(self, worker: Any, metrics_port: int | None = None, **options: Any) -> None:
        super().__init__(worker, **options)
        self._port = settings.METRICS_PORT if metrics_port is None else metrics_port
        self._server: Any = None
        self.enabled = self._port > 0

    def start(self, _worker: Any) -> None:
        """Listen. A port that is taken costs the metrics, not the work."""
        try:
            self._server, _thread = start_http_server(
                self._port, addr=settings.METRICS_HOST, registry=group_registry()
            )
        except OSError as error:
            log.error("metrics_port_failed", port=self._port, error=error.strerror)  # noqa: TRY400

    def stop(self, _worker: Any) -> None:
        """Close the port."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def terminate(self, worker: Any) -> None:
        """The same, for a worker that ends in a hurry."""
        self.stop(worker)


@worker_process_shutdown.connect
def _forget_gauges(pid: int, **_signal: Any) -> None:
    """A child that ends keeps its counts, and has no present any more."""
    if settings.METRICS_GROUP_DIR:
        mark_process_dead(pid, str(settings.METRICS_GROUP_DIR))
