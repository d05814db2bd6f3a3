"""A snapshot that would outlast its source's history is stopped, unless the flow allows it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from replication import history
from replication.errors import FailureKind, SnapshotOutlastsHistory, sort_failure
from replication.history import HistoryWatch, history_left
from replication.planning import Splitting
from replication.position import Position
from replication.progress import SnapshotProgress
from replication.worker import Outcome
from tests.replication.running import Document, Flow, running
from tests.replication.servers import Server


@pytest.fixture
def forgetful(forgetful_server: Server) -> Any:
    with MongoClient[Document](forgetful_server.uri, serverMonitoringMode="poll") as client:
        yield client


def position(at: datetime | None) -> Position:
    return Position("key", 1, 1, snapshot_began_at=at)


def now() -> datetime:
    return datetime.now(UTC)


def test_a_log_that_is_full_keeps_what_is_younger_than_its_oldest_entry(
    forgetful: MongoClient[Document],
) -> None:
    forgetful["history"]["rows"].insert_many([{"n": n} for n in range(200)])
    left = history_left(forgetful, position(now() + timedelta(hours=1)))
    assert left is not None
    assert timedelta(minutes=59) < left < timedelta(minutes=61)
    assert history_left(forgetful, position(now() - timedelta(days=1))) == timedelta()


def test_a_log_that_has_room_keeps_everything_until_it_is_full(
    mongo: MongoClient[Document],
) -> None:
    mongo["history"]["rows"].insert_one({})
    left = history_left(mongo, position(now()))
    assert left is None or left > timedelta(seconds=1)


def test_a_position_without_any_moment_tells_nothing(mongo: MongoClient[Document]) -> None:
    assert history_left(mongo, position(None)) is None


def test_a_source_whose_log_may_not_be_read_tells_nothing(mongo: MongoClient[Document]) -> None:
    refuse = {"failCommands": ["find"], "errorCode": 13}
    mongo.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": refuse})
    assert history_left(mongo, position(now())) is None


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every check look, however short the snapshot is."""
    monkeypatch.setattr(history, "_PERIOD", 0.0)
    monkeypatch.setattr(history, "_SHORTEST", timedelta())


@pytest.mark.parametrize(
    ("left", "stops"), [(timedelta(days=2), True), (timedelta(minutes=5), False), (None, False)]
)
def test_the_time_left_is_compared_with_the_history_left(
    forgetful: MongoClient[Document], flow: Flow, at_once: None, left: Any, stops: bool
) -> None:
    forgetful["history"]["rows"].insert_many([{"n": n} for n in range(200)])
    watch = HistoryWatch(
        forgetful,
        flow.spec,
        position=lambda: position(now() + timedelta(hours=1)),
        progress=lambda: SnapshotProgress(1, 2, left, 0, 1),
    )
    if not stops:
        watch.check()
        return
    with pytest.raises(
        SnapshotOutlastsHistory, match=r"2 days, .* for (0:59|1:00):.* only"
    ) as stop:
        watch.check()
    assert sort_failure(stop.value) is FailureKind.CONFIGURATION


def test_a_flow_stops_and_goes_on_beyond_history_when_it_is_told_to(
    new_flow: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch, at_once: None
) -> None:
    monkeypatch.setattr(history, "history_left", lambda *_: timedelta())
    flow = new_flow(splitting=Splitting(documents=500, opening=1e6))
    flow.source.insert_many([{"_id": n} for n in range(2_000)])
    result = flow.run(lambda: True)
    assert result.outcome is Outcome.FAILED
    assert "beyond history" in result.error
    copied = flow.copied()
    assert 0 < copied < 2_000
    flow.spec = replace(flow.spec, beyond_history=True)
    with running(flow):
        flow.wait_until_consistent()
    assert flow.copy.estimated_document_count() == 2_000
