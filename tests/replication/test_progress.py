"""How far a snapshot is adds up over its parts, and so does the rate of those that move."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from replication.parts import Part
from replication.planning import Splitting
from replication.position import control_database
from replication.progress import progress_of, snapshot_progress
from tests.replication.running import Flow, running

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def part(
    number: int, copied: int, *, rate: float = 0.0, ago: float = 1.0, done: bool = False
) -> Part:
    moved_at = NOW - timedelta(seconds=ago)
    return Part(
        f"key/{number}",
        "key",
        "flow",
        "rows",
        number,
        copied=copied,
        rate=rate,
        moved_at=moved_at,
        done=done,
    )


def test_parts_add_up_and_the_rate_of_those_that_move_tells_the_time_left() -> None:
    parts = [
        part(0, 400, rate=90.0, done=True),
        part(1, 100, rate=30.0),
        part(2, 100, rate=20.0),
        part(3, 0, rate=500.0, ago=120),  # its worker was killed
    ]
    progress = progress_of(parts, 1000, NOW)
    assert (progress.copied, progress.total, progress.share) == (600, 1000, 0.6)
    assert (progress.parts_done, progress.parts) == (1, 4)
    assert progress.left == timedelta(seconds=8)


@pytest.mark.parametrize("ago", [61, 3600], ids=["minute", "hour"])
def test_nobody_can_tell_the_time_left_while_nobody_copies(ago: float) -> None:
    assert progress_of([part(0, 10, rate=5.0, ago=ago)], 100, NOW).left is None


def test_a_total_that_was_too_low_grows_and_one_that_was_too_high_ends() -> None:
    assert progress_of([part(0, 120, rate=5.0)], 100, NOW).total == 120
    whole = progress_of([part(0, 80, done=True)], 100, NOW)
    assert (whole.total, whole.left, whole.share) == (80, timedelta(), 1.0)


def test_there_is_progress_only_while_a_snapshot_is_under_way(
    new_flow: Callable[..., Flow],
) -> None:
    flow = new_flow(splitting=Splitting(documents=100, opening=1e6))
    control = control_database(flow.clients["destination"])
    flow.source.insert_many([{"_id": n} for n in range(300)])
    assert snapshot_progress(control, flow.spec.key) is None
    flow.run(lambda: not any(each.done for each in flow.parts()))
    progress = snapshot_progress(control, flow.spec.key)
    assert progress is not None
    assert (progress.parts_done, progress.parts, progress.total) == (1, 3, 300)
    assert 0 < progress.copied < 300
    with running(flow):
        flow.wait_until_consistent()
    assert snapshot_progress(control, flow.spec.key) is None
