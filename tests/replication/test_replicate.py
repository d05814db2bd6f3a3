"""``manage.py replicate`` as a process: it copies, follows, and ends in order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from replication.crew import Crew
from replication.foreground import End, ForegroundFlow, Look, StatusLine
from replication.spec import StreamId
from replication.status import FlowState, FlowStatus, Namespace, StreamStatus
from replication.steering import note_failure
from tests.replication.rows import row_of
from tests.replication.running import Flow, raw, running
from tests.waiting import wait_until


class Replicate:
    """The command as a process of its own."""

    def __init__(self, environment: Mapping[str, str], log: Path, *arguments: str) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "replicate", *arguments],
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def stop(self, number: int = signal.SIGINT) -> float:
        """Send a signal and return how long the end took, in seconds."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=15)
        return time.monotonic() - began


@pytest.fixture
def environment(flow: Flow, mongo_server: str, tmp_path: Path) -> Mapping[str, str]:
    values = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "finops.settings",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "PYTHONUNBUFFERED": "1",
    }
    arguments = [str(flow.id), flow.spec.source.database, flow.spec.destination.database]
    subprocess.run(
        [sys.executable, "-m", "tests.replication.celery_rows", mongo_server, *arguments],
        env=values,
        check=True,
        timeout=60,
    )
    return values


@pytest.fixture
def replicate(environment: Mapping[str, str], tmp_path: Path) -> Iterator[Callable[..., Replicate]]:
    started: list[Replicate] = []

    def start(*arguments: str) -> Replicate:
        started.append(
            Replicate(environment, tmp_path / f"replicate-{len(started)}.log", *arguments)
        )
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(timeout=10)


def test_copies_follows_and_ends_within_three_seconds(
    flow: Flow, replicate: Callable[..., Replicate]
) -> None:
    flow.source.insert_many([{"_id": n, "Day": 1} for n in range(500)])
    with running(flow):  # another worker
        flow.wait_until_consistent()
        refused = replicate("costs")
        patient = replicate("costs", "--wait")
        assert refused.process.wait(timeout=15) == 1
        assert "Another worker has the flow 'costs'" in refused.output
        assert "--wait" in refused.output
    wait_until(lambda: (flow.lease() or {})["number"] == 2, what="the waiting one took over")
    flow.source.update_many({"_id": {"$lt": 10}}, {"$set": {"Day": 2}})
    flow.wait_for_events(10)
    assert raw(flow.copy) == raw(flow.source)
    wait_until(lambda: "streaming · 10 events" in patient.output, what="the line says so")
    assert patient.stop() < 3.0
    assert patient.process.returncode == 0
    assert "costs: stopped. 10 events applied; the copy holds everything up to" in patient.output
    lease = flow.lease()
    assert lease is not None
    assert lease["expires"] < datetime(2001, 1, 1, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
def test_what_cannot_run_is_refused_before_anything_begins(flow: Flow, mongo_server: str) -> None:
    row = row_of(flow, mongo_server)
    for arguments, message in [
        ((), "or give --all"),
        (("other",), "There is no flow 'other'; there are: costs"),
    ]:
        with pytest.raises(CommandError, match=message):
            call_command("replicate", *arguments)
    note_failure(StreamId(row.id, "rows"), "Poison: 121.")
    with pytest.raises(CommandError, match=r"has failed \(Poison: 121"):
        call_command("replicate", "costs")
    row.enabled = False
    row.save()
    with pytest.raises(CommandError, match="is paused"):
        call_command("replicate", "costs")
    with pytest.raises(CommandError, match="no flow that is enabled"):
        call_command("replicate", "--all")


def test_a_flow_that_cannot_read_its_row_ends_instead_of_hanging() -> None:
    class Broken(ForegroundFlow):
        def _look_around(self, _crew: Crew) -> None:
            raise OSError("a disk is gone")

    flow = Broken("costs", lease=timedelta(seconds=8), wait=True)
    flow.start()
    flow.join()
    assert (flow.end, flow.error) == (End.FAILED, "OSError")


def seen(at: float, state: FlowState, **fields: Any) -> Look:
    """A flow of one collection as it is seen at a moment."""
    here, there = Namespace("source", "a", "rows"), Namespace("destination", "b", "rows")
    stream = StreamStatus(here, there, state, batches=fields.pop("batches", 0))
    values: dict[str, Any] = {
        "id": UUID(int=1),
        "name": "costs",
        "enabled": True,
        "state": state,
        "source": here,
        "destination": there,
        "partition_fields": (),
        "events": 0,
        "last_event_at": None,
        "position_at": None,
        "consistent_since": None,
        "lag_seconds": None,
        "copying": False,
        "snapshot_copied": None,
        "snapshot_total": None,
        "waiting_since": None,
        "error": None,
        "streams": (stream,) * fields.pop("collections", 1),
        **fields,
    }
    return Look(at, FlowStatus(**values))


def test_the_line_tells_how_far_and_how_fast() -> None:
    flow = ForegroundFlow("costs", lease=timedelta(seconds=8), wait=False)
    line = StatusLine("costs")
    copying = {"copying": True, "snapshot_total": 5000, "batches": 3}
    assert line.text(flow, Look(0.0)) == "costs · starting"
    first = seen(1.0, FlowState.SNAPSHOT, snapshot_copied=1000, **copying)
    assert line.text(flow, first) == "costs · copied 1,000 of 5,000 · 3 batches"
    left = timedelta(seconds=6.2)
    second = seen(3.0, FlowState.SNAPSHOT, snapshot_copied=2000, snapshot_left=left, **copying)
    assert "copied 2,000 of 5,000, 500/s, 0:00:06 left" in line.text(flow, second)
    line.text(flow, seen(4.0, FlowState.STREAMING, events=100, batches=9))
    last = seen(
        6.0, FlowState.STREAMING, events=1100, batches=10, lag_seconds=0.04, error="AutoReconnect"
    )
    assert (
        line.text(flow, last)
        == "costs · streaming · 1,100 events · 500/s · lag 0.0 s · 10 batches · AutoReconnect"
    )


def test_the_line_counts_collections_where_there_are_several() -> None:
    flow = ForegroundFlow("costs", lease=timedelta(seconds=8), wait=False)
    several = seen(1.0, FlowState.STREAMING, batches=2, collections=3)
    text = StatusLine("costs").text(flow, several)
    assert text == "costs · streaming · 0 events · 0/s · 3 collections · 6 batches"
