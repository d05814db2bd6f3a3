"""A stop of the worker, as its children see it.

``worker_shutting_down`` reaches only Celery's parent process. Its children share one byte with
it, made before they were forked. Unlike an Event it has no lock that a killed child could keep.
"""

import mmap
from typing import Any

from celery.signals import worker_process_shutdown, worker_shutting_down

from replication.mongo import close_clients


class SharedFlag:
    """A flag that a process and all its later children see. It is set once and for all."""

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    def set(self) -> None:
        """Set the flag for everybody."""
        self._byte[0] = 1

    def is_set(self) -> bool:
        """Whether anybody has set it."""
        return self._byte[0] == 1


worker_stopping = SharedFlag()


@worker_shutting_down.connect
def _tell_children(**_signal: Any) -> None:
    worker_stopping.set()


@worker_process_shutdown.connect
def _close_clients(**_signal: Any) -> None:
    close_clients()
