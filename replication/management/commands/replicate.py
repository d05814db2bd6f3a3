"""``manage.py replicate NAME...``: flows in the foreground, for people without Celery."""

import signal
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from replication.foreground import End, ForegroundFlow, StatusLine
from replication.models import Flow
from replication.mongo import close_clients
from replication.status import FlowStatus

_LINE_EVERY_ON_A_TERMINAL, _LINE_EVERY_ELSEWHERE = 1.0, 5.0  # seconds
_LOOK_AROUND = 0.1


class Command(BaseCommand):
    """Starts the flows, shows where they stand, and ends them in order."""

    help = (
        "Run flows here until Ctrl-C or SIGTERM: copy what is there, then follow every change."
        " Needs neither Celery nor a broker. It stops warm: what was read is committed or left to"
        " whoever goes on, and the lease is given up. A second Ctrl-C ends at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("names", nargs="*", metavar="NAME", help="flows")
        parser.add_argument("--all", action="store_true", help="every flow that is enabled")
        parser.add_argument(
            "--wait",
            action="store_true",
            help="wait for flows that another worker has, instead of giving up",
        )

    def handle(
        self, *_args: Any, names: Sequence[str], all: bool, wait: bool, **_options: Any
    ) -> None:
        """Run until told to stop."""
        lease = settings.REPLICATION_LEASE
        flows = [ForegroundFlow(name, lease=lease, wait=wait) for name in _chosen(names, all)]
        try:
            with _stop_signals() as stopped:
                for flow in flows:
                    flow.start()
                try:
                    self._show_until(stopped, flows)
                finally:
                    for flow in flows:
                        flow.stop()
                    for flow in flows:
                        flow.join()
            failed = [self._end_of(flow) for flow in flows]
        finally:
            close_clients()
        if any(failed):
            raise CommandError(" ".join(filter(None, failed)))

    def _show_until(self, stopped: threading.Event, flows: Sequence[ForegroundFlow]) -> None:
        lines = {flow.name: StatusLine(flow.name) for flow in flows}
        live = sys.stdout.isatty()
        every = _LINE_EVERY_ON_A_TERMINAL if live else _LINE_EVERY_ELSEWHERE
        due = time.monotonic() + _LINE_EVERY_ON_A_TERMINAL  # the first one comes soon
        shown = 0
        while not stopped.wait(_LOOK_AROUND) and any(flow.end is None for flow in flows):
            if time.monotonic() < due:
                continue
            due = time.monotonic() + every
            texts = [lines[flow.name].text(flow, flow.look()) for flow in flows]
            # On a terminal the lines of the last time are written over.
            rewind = f"\x1b[{shown}F" if live and shown else ""
            clear = "\x1b[K" if live else ""
            self.stdout.write(rewind + "\n".join(f"{text}{clear}" for text in texts))
            self.stdout.flush()
            shown = len(texts)

    def _end_of(self, flow: ForegroundFlow) -> str:
        """Say where a flow stands; return what to complain about, if anything."""
        look = flow.look()
        self.stdout.write(f"{flow.name}: {flow.end or End.STOPPED}. {_standing(look.status)}")
        if flow.end is End.HELD:
            return (
                f"Another worker has the flow {flow.name!r}: stop it, or wait for it with --wait."
                f" A killed one has it for {settings.REPLICATION_LEASE.total_seconds():g} s more at"
                " most."
            )
        if flow.end is End.FAILED:
            return f"{flow.name}: {flow.error} Resume the flow in the admin when that is mended."
        if look.status is not None and look.status.failed:
            return f"{flow.name}: {look.status.error} Resume the flow when that is mended."
        return ""


def _standing(status: FlowStatus | None) -> str:
    if status is None or not any(stream.batches for stream in status.streams):
        return "Nothing was copied."
    if status.consistent_since is None:
        return (
            f"The copy is not whole: {status.snapshot_copied or 0:,} of about"
            f" {status.snapshot_total or 0:,} documents; it goes on from there."
        )
    reached = f"{status.position_at:%Y-%m-%d %H:%M:%S} UTC" if status.position_at else "unknown"
    return f"{status.events:,} events applied; the copy holds everything up to {reached}."


def _chosen(names: Sequence[str], every: bool) -> list[str]:
    if bool(names) == every:
        raise CommandError("Name the flows to run, or give --all.")
    known = {flow.name: flow for flow in Flow.objects.all()}
    failures = {
        name: failed for name, flow in known.items() if (failed := _failure_of(flow)) is not None
    }
    if every:
        names = [name for name, flow in known.items() if flow.enabled and name not in failures]
        if not names:
            raise CommandError("There is no flow that is enabled.")
    problems = []
    for name in names:
        flow = known.get(name)
        if flow is None:
            problems.append(
                f"There is no flow {name!r}; there are: {', '.join(known) or 'none yet'}."
            )
        elif not flow.enabled:
            problems.append(f"The flow {name!r} is paused: enable it in the admin.")
        elif name in failures:
            problems.append(
                f"The flow {name!r} has failed ({failures[name]}): resume it in the admin."
            )
    if problems:
        raise CommandError(" ".join(problems))
    return list(dict.fromkeys(names))


def _failure_of(flow: Flow) -> str | None:
    """Return why there is nothing to run: the failure of a flow's only collection."""
    failures = dict(flow.failures.values_list("collection", "error"))
    return failures.get(flow.scope.single) if flow.scope.single else None


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets. A second one has its usual effect."""
    stopped = threading.Event()
    before: dict[int, Any] = {}

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped.set()
        signal.signal(number, signal.SIG_DFL)

    for known in (signal.SIGINT, signal.SIGTERM):
        before[known] = signal.signal(known, stop)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
