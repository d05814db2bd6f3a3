"""While one batch is written the next is read, and never more than memory is meant to hold."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import bson
import pytest
from pymongo.errors import AutoReconnect

from replication.changes import Batch, BatchLimits, Changes
from replication.collecting import Collecting
from replication.errors import HistoryLost
from replication.lookups import Found
from replication.readahead import Budget, ReadAhead
from replication.wire import Event
from tests.waiting import wait_until

_NEVER = 0.05  # seconds in which nothing should happen


class Fake:
    """A source that answers with so many events, an error, or nothing, as it is told."""

    def __init__(self) -> None:
        self.answers: list[int | Exception | Event] = []
        self.asked = 0
        self.closed = False
        self.sent = 0
        self.hangs = threading.Event()
        self.goes_on = threading.Event()

    @property
    def token(self) -> Mapping[str, Any]:
        return {"sent": self.sent}

    def ask(self) -> Changes:
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else 0
        if isinstance(answer, Exception):
            raise answer
        if self.hangs.is_set():
            self.goes_on.wait(10)
        events = [answer] if isinstance(answer, Event) else [self._event() for _ in range(answer)]
        if not events:
            time.sleep(0.01)
        return Changes(iter(events), not events, time.time(), 1)

    def _event(self) -> Event:
        self.sent += 1
        key = bson.encode({"_id": self.sent})
        return Event(b"insert", key, bytes(1_000 - len(key)), self.sent, b"")

    def find(self, keys: Sequence[bytes]) -> Found:
        raise AssertionError("nothing is looked up here")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def start(fake: Fake) -> Iterator[Callable[..., ReadAhead]]:
    readers: list[ReadAhead] = []

    def build(budget: Budget | None = None, **limits: int) -> ReadAhead:
        stream = Collecting(fake, fake, limits=BatchLimits(**limits))
        readers.append(ReadAhead(stream, budget=budget or Budget(10**9)))
        return readers[-1]

    yield build
    for reader in readers:
        reader.close()
        wait_until(lambda: fake.closed, what="the source is closed")


def taken(reader: ReadAhead) -> Batch:
    batch = reader.take(5)
    assert batch is not None
    return batch


def test_what_comes_while_a_batch_is_written_is_the_next_one(
    fake: Fake, start: Callable[..., ReadAhead]
) -> None:
    fake.answers = [1]
    reader = start()
    assert taken(reader).events == 1
    fake.answers = [2, 3, 4]  # while that batch is written
    wait_until(lambda: not fake.answers)
    wait_until(lambda: reader.take(0) is not None)
    assert fake.sent == 10


def test_batches_are_bounded_and_reading_waits_for_the_writer(
    fake: Fake, start: Callable[..., ReadAhead]
) -> None:
    fake.answers = [3] * 20
    reader = start(writes=10)
    sizes = [taken(reader).events for _ in range(6)]
    assert max(sizes) <= 10
    assert sum(sizes) == 60


def test_batches_are_bounded_by_their_bytes(fake: Fake, start: Callable[..., ReadAhead]) -> None:
    fake.answers = [50]
    reader = start(size=10_000)
    assert [taken(reader).events for _ in range(5)] == [10] * 5


def test_all_streams_share_one_budget(fake: Fake, start: Callable[..., ReadAhead]) -> None:
    budget = Budget(5_000)
    fake.answers = [4] * 10
    reader = start(budget)
    reader.take(0)
    wait_until(lambda: budget.exhausted, what="the budget is used up")
    asked = fake.asked
    time.sleep(_NEVER)
    assert fake.asked == asked < 6
    taken(reader)
    wait_until(lambda: fake.asked > asked, what="reading goes on")
    reader.close()
    assert not budget.exhausted


def test_a_stream_without_anything_reads_on_beyond_the_budget(
    fake: Fake, start: Callable[..., ReadAhead]
) -> None:
    fake.answers = [4, 4]
    reader = start(Budget(0))
    assert taken(reader).events + taken(reader).events == 8


def test_an_error_comes_after_what_was_read_before_it_and_reading_goes_on(
    fake: Fake, start: Callable[..., ReadAhead]
) -> None:
    fake.answers = [2, AutoReconnect("cut"), 3]
    reader = start()
    assert taken(reader).events == 2
    with pytest.raises(AutoReconnect):
        taken(reader)
    assert taken(reader).events == 3


def test_the_end_of_history_comes_after_what_was_read_before_it(
    fake: Fake, start: Callable[..., ReadAhead]
) -> None:
    fake.answers = [2, Event(b"drop", b"", None, 9, b"")]
    reader = start()
    assert taken(reader).events == 2
    for _ in range(2):
        with pytest.raises(HistoryLost):
            taken(reader)


def test_a_quiet_source_says_so_again_and_again(
    fake: Fake, start: Callable[..., ReadAhead]
) -> None:
    reader = start()
    for _ in range(3):
        batch = taken(reader)
        assert (batch.events, batch.caught_up_at is not None) == (0, True)


def test_a_source_that_does_not_answer_holds_up_neither_the_writer_nor_the_end(
    fake: Fake, start: Callable[..., ReadAhead]
) -> None:
    fake.hangs.set()
    reader = start()
    began = time.monotonic()
    assert reader.take(0.05) is None
    reader.close()
    assert time.monotonic() - began < 3
    assert not fake.closed
    fake.goes_on.set()
    wait_until(lambda: fake.closed, what="the thread closes the source")


def test_a_trickle_is_not_one_commit_each(fake: Fake, start: Callable[..., ReadAhead]) -> None:
    reader = start()
    fake.answers = [1]
    began = time.monotonic()
    wait_until(lambda: taken(reader).events)
    fake.answers = [1] * 100
    count = 0
    while fake.sent < 101 or fake.answers:
        count += bool(taken(reader).events)
    assert count <= (time.monotonic() - began) / 0.05 + 2
