"""A slot takes on streams that nobody takes, gives way to others, and ends them all in order."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError

from replication.models import Connection, Flow
from replication.roster import Roster
from replication.slices import Outcome, SliceResult
from replication.slots import Slot, SlotLimits
from replication.spec import StreamId, StreamSpec
from tests.waiting import wait_until

FLOW = UUID(int=7)
QUICK = SlotLimits(look=0.02, next_look=0.02, turn=0.0)


def stream(number: int) -> StreamId:
    return StreamId(FLOW, f"rows_{number}")


def flow(**fields: Any) -> Flow:
    values = {"id": FLOW, "name": "costs", "collection": "rows_*", **fields}
    here = Connection(name="here")
    return Flow(source=here, destination=here, destination_collection="{collection}", **values)


@dataclass
class World:
    """Flows, the streams that wait, and what a slot does with them."""

    flow: Flow | None = field(default_factory=flow)
    failed: frozenset[StreamId] = frozenset()
    waiting: list[StreamId] = field(default_factory=list)
    began: list[StreamId] = field(default_factory=list)
    ended: list[tuple[StreamId, SliceResult]] = field(default_factory=list)
    looks: int = 0
    had: list[int] = field(default_factory=list)  # streams that were at work, by look
    stopping: threading.Event = field(default_factory=threading.Event)
    broken: bool = False
    refused: int = 0

    def roster(self) -> Roster:
        if self.broken:
            self.refused += 1
            raise DatabaseError("the rows are out of reach")
        return Roster({FLOW: self.flow} if self.flow else {}, self.failed)

    def work(self, spec: StreamSpec, wanted: Callable[[], bool]) -> SliceResult:
        mine = StreamId(spec.flow_id, spec.source.collection)
        self.began.append(mine)
        if mine in self.waiting:
            self.waiting.remove(mine)
        wait_until(lambda: not wanted(), what="the stream has to leave")
        return SliceResult(Outcome.HANDED_OVER)

    def look(self, roster: Roster) -> list[StreamId]:
        self.looks += 1
        names = [thread.name for thread in threading.enumerate()]
        self.had.append(sum(name.startswith("stream-costs-") for name in names))
        return [each for each in self.waiting if roster.runnable(each)]

    def note_end(self, ended: StreamId, result: SliceResult) -> None:
        self.ended.append((ended, result))
        if result.outcome is Outcome.HANDED_OVER and not self.stopping.is_set():
            self.waiting.append(ended)

    def slot(self, limits: SlotLimits = QUICK, **options: Any) -> Slot:
        return Slot(
            options.get("work", self.work),
            waiting=self.look,
            ended=self.note_end,
            stopping=self.stopping.is_set,
            limits=limits,
            roster=self.roster,
        )

    def outcomes(self) -> Mapping[StreamId, Outcome]:
        return {each: result.outcome for each, result in self.ended}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def run(world: World) -> Iterator[Callable[..., threading.Thread]]:
    """Run a slot that begins with stream 0, until the test ends."""
    threads: list[threading.Thread] = []

    def start(limits: SlotLimits = QUICK, **options: Any) -> threading.Thread:
        slot = world.slot(limits, **options)
        threads.append(threading.Thread(target=slot.run, args=(stream(0),)))
        threads[-1].start()
        wait_until(lambda: stream(0) in world.began, what="the first stream began")
        return threads[-1]

    yield start
    world.stopping.set()
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive(), "the slot does not end"


Run = Callable[..., threading.Thread]


def test_streams_that_go_on_waiting_are_adopted(world: World, run: Run) -> None:
    world.waiting = [stream(1), stream(2)]
    run()
    wait_until(lambda: len(world.began) == 3, what="the slot has all streams")
    assert world.looks >= 2
    world.stopping.set()
    wait_until(lambda: set(world.outcomes()) == {stream(0), stream(1), stream(2)})


def test_no_slot_takes_all_that_waits_at_once(world: World, run: Run) -> None:
    run(replace(QUICK, looks=1, streams_per_look=100))
    world.waiting = [stream(number) for number in range(1, 9)]
    wait_until(lambda: len(world.began) == 9)
    had = list(dict.fromkeys(world.had))
    assert had == [1, 5, 7, 8, 9][: len(had)]


def test_a_stream_in_trouble_gets_a_rest(world: World, run: Run) -> None:
    world.waiting = [stream(1)]

    def work(spec: StreamSpec, wanted: Callable[[], bool]) -> SliceResult:
        if spec.source.collection == "rows_1":
            world.began.append(stream(1))
            return SliceResult(Outcome.TROUBLE, "AutoReconnect")
        return world.work(spec, wanted)

    run(replace(QUICK, rest=0.5), work=work)
    wait_until(lambda: world.began.count(stream(1)) == 1)
    looks = world.looks
    wait_until(lambda: world.began.count(stream(1)) == 2)
    assert world.looks - looks > 5


def test_a_stream_that_somebody_takes_meanwhile_is_not_adopted(world: World, run: Run) -> None:
    world.waiting = [stream(1)]
    run(replace(QUICK, looks=3))
    wait_until(lambda: world.looks == 1)
    world.waiting = []
    seen = world.looks
    wait_until(lambda: world.looks > seen)
    world.waiting = [stream(1)]
    assert world.began == [stream(0)]


def test_a_fuller_slot_lets_others_go_first(world: World, run: Run) -> None:
    run(replace(QUICK, looks=1, streams_per_look=1))
    world.looks = 0
    world.waiting = [stream(1)]
    wait_until(lambda: len(world.began) == 2, what="the second is adopted")
    first = world.looks
    world.waiting = [stream(2)]
    wait_until(lambda: len(world.began) == 3, what="the third is adopted")
    assert first >= 2
    assert world.looks - first >= 3


def test_after_its_time_everything_is_handed_over(world: World, run: Run) -> None:
    world.waiting = [stream(1)]
    slot = run(replace(QUICK, time=0.5))
    wait_until(lambda: len(world.began) == 2)
    slot.join(timeout=10)
    assert world.outcomes() == dict.fromkeys((stream(0), stream(1)), Outcome.HANDED_OVER)


def test_a_stop_ends_all_streams_at_once(world: World, run: Run) -> None:
    world.waiting = [stream(number) for number in range(1, 12)]
    slot = run(replace(QUICK, streams_per_look=100))
    wait_until(lambda: len(world.began) == 12)
    began = time.monotonic()
    world.stopping.set()
    slot.join(timeout=10)
    assert time.monotonic() - began < 1
    assert len(world.ended) == 12


def test_more_streams_than_places_all_get_their_turn(world: World, run: Run) -> None:
    everyone = {stream(number) for number in range(10)}
    world.waiting = sorted(everyone - {stream(0)}, key=str)
    run(replace(QUICK, streams=3, streams_per_look=100))
    wait_until(lambda: set(world.began) == everyone, what="every stream had a turn")
    again = len(world.began)
    wait_until(lambda: set(world.began[again:]) == everyone, what="and another one")


def test_a_stream_keeps_its_place_for_a_turn(world: World, run: Run) -> None:
    world.waiting = [stream(1)]
    run(replace(QUICK, streams=1, turn=60.0))
    wait_until(lambda: world.looks > 5)
    assert world.began == [stream(0)]


def test_a_changed_flow_s_stream_leaves_and_is_taken_up_again(world: World, run: Run) -> None:
    run()
    world.flow = flow(filter={"Provider": "Microsoft"})
    wait_until(lambda: world.ended == [(stream(0), SliceResult(Outcome.HANDED_OVER))])


@pytest.mark.parametrize("change", ["paused", "failed", "left the scope"])
def test_a_stream_that_should_not_run_leaves(world: World, run: Run, change: str) -> None:
    slot = run()
    if change == "paused":
        world.flow = None
    elif change == "failed":
        world.failed = frozenset({stream(0)})
    else:
        world.flow = flow(collection="days")
    slot.join(timeout=10)
    assert list(world.outcomes()) == [stream(0)]


def test_streams_go_on_while_the_rows_are_out_of_reach(world: World, run: Run) -> None:
    slot = run()
    world.broken = True
    wait_until(lambda: world.refused > 1)
    world.waiting = [stream(1)]
    world.broken = False
    wait_until(lambda: stream(1) in world.began)
    assert slot.is_alive()
    assert world.ended == []


def test_one_stream_that_fails_does_not_end_the_others(world: World, run: Run) -> None:
    world.waiting = [stream(1)]

    def work(spec: StreamSpec, wanted: Callable[[], bool]) -> SliceResult:
        if spec.source.collection == "rows_1":
            world.waiting = []
            raise ValueError("a document's content")
        return world.work(spec, wanted)

    slot = run(work=work)
    wait_until(lambda: world.ended == [(stream(1), SliceResult(Outcome.FAILED, "ValueError"))])
    assert slot.is_alive()


def test_a_flow_that_cannot_work_fails_with_its_reason(world: World) -> None:
    world.flow = flow(
        field_rules=[{"field": "owner", "action": "hash"}], hash_key_ref="env:NOWHERE"
    )
    world.slot().run(stream(0))
    ((ended, result),) = world.ended
    assert (ended, result.outcome) == (stream(0), Outcome.FAILED)
    assert result.error.startswith("Configuration: ")


@pytest.mark.parametrize("other", [StreamId(UUID(int=8), "rows_0"), StreamId(FLOW, "days")])
def test_a_message_for_what_should_not_run_does_nothing(world: World, other: StreamId) -> None:
    world.slot().run(other)
    assert (world.began, world.ended) == ([], [])


def test_what_has_begun_is_known_by_its_collection(world: World, run: Run) -> None:
    run()
    names: Iterable[str] = [thread.name for thread in threading.enumerate()]
    assert "stream-costs-rows_0" in names
