"""What metrics say now, and what was told to Django's signal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import REGISTRY

from replication.auth.events import AuthEvent
from replication.auth.signals import authentication_event


def number(name: str, **labels: str) -> float:
    """A sample of this process; 0 where nothing was counted yet."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Counted:
    """How far samples have moved since this was made."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        for metric in REGISTRY.collect():
            for sample in metric.samples:
                self._before[sample.name, tuple(sorted(sample.labels.items()))] = sample.value

    def __call__(self, name: str, **labels: str) -> float:
        before = self._before.get((name, tuple(sorted(labels.items()))), 0.0)
        return number(name, **labels) - before


@contextmanager
def told() -> Iterator[list[tuple[AuthEvent, dict[str, Any]]]]:
    """Every event of the block, with its facts."""
    events: list[tuple[AuthEvent, dict[str, Any]]] = []

    def keep(sender: AuthEvent, **facts: Any) -> None:
        events.append((sender, facts))

    authentication_event.connect(keep)
    try:
        yield events
    finally:
        authentication_event.disconnect(keep)
