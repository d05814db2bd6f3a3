"""Looked-up documents are ahead of the stream, and all the same no document ever goes back.

A source made of lists is changed, asked, looked up and left by the flow in any order, also within
an answer or a look-up, as threads would. The states that the copy of each document goes through
must be ones that the source had, one after the other.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal
from uuid import uuid4

import bson
import pytest
from bson import Timestamp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.collection import Collection

from replication.changes import BatchLimits, Changes
from replication.collecting import Collecting
from replication.lookups import UNKNOWN_TIME, Found, from_timestamp
from replication.spec import Namespace
from replication.streams import MongoDBStream, current_point, raw_collection
from replication.wire import Event
from tests.replication.running import Document

KEYS = 2
_HOT = 5  # documents of the test with a real server
Kind = Literal["write", "update", "delete", "ask", "take", "restart", "pause"]
Action = tuple[Kind, int]
State = int | None  # the time of a document's last change, or that there is none

_KINDS: Sequence[Kind] = ("write", "update", "update", "delete", "ask", "ask", "take", "restart")
_ACTIONS = st.lists(
    st.tuples(st.sampled_from([*_KINDS, "pause", "pause", "pause"]), st.integers(0, KEYS - 1)),
    min_size=20,
    max_size=60,
)


def script(text: str) -> list[Action]:
    """Read actions: those of key 0, or with a 1 behind them of key 1."""
    return [(word.removesuffix("1"), int(word.endswith("1"))) for word in text.split()]  # type: ignore[misc]


# An answer with a replacement that its update's document is ahead of.
_SUSPECTED = "write update ask pause write pause pause ask pause pause update "
_SCRIPTS = (
    # A batch is looked up after the document of an update in the answer that follows it;
    _SUSPECTED + "ask pause update take pause pause pause pause take",
    # the same, with an answer that comes while the look-up is on its way.
    _SUSPECTED + "take ask pause update pause pause pause pause take",
    # A new owner meets the replacement.
    "write1 write update write1 write1 write update ask pause pause pause take restart ask pause"
    " pause take",
    # The source has nothing more, and then it has, before the answer is read.
    "write update ask pause pause pause write ask pause pause ask pause write1 write1"
    " write update take pause pause pause ask pause pause take",
)


def key_of(number: int) -> bytes:
    return bson.encode({"_id": number})


def encoded(number: int, state: State) -> bytes | None:
    return None if state is None else bson.encode({"_id": number, "at": state})


class World:
    """A source, a flow and its copy. Times are whole seconds as cluster times."""

    def __init__(self, actions: Sequence[Action], *, knows_time: bool, filtered: bool) -> None:
        self.actions = list(actions)
        self.knows_time = knows_time
        self.filtered = filtered
        self.now = 1
        self.documents: dict[int, int] = {}
        self.events: list[tuple[str, int, int]] = []  # operation, key, time
        self.histories: dict[int, list[State]] = {key: [None] for key in range(KEYS)}
        self.copy: dict[bytes, bytes | None] = {}
        self.copied: dict[int, list[State]] = {key: [None] for key in range(KEYS)}
        self.committed: tuple[int, Timestamp | None] = (0, None)
        self.sent = 0
        self.busy: set[str] = set()
        self.flow = self.new_flow()

    # The source.

    def change(self, kind: str, key: int) -> None:
        self.now += 1
        there = key in self.documents
        if kind == "delete" and there:
            del self.documents[key]
            self.events.append(("delete", key, self.now))
        elif kind == "write" or (kind == "update" and there):
            self.documents[key] = self.now
            operation = {"update": "update", "write": "replace" if there else "insert"}[kind]
            self.events.append((operation, key, self.now))
        self.histories[key].append(self.visible(self.documents.get(key)))

    def visible(self, state: State) -> State:
        """What a flow with a filter may see: every third state does not match."""
        return None if self.filtered and state is not None and state % 3 == 0 else state

    @property
    def time(self) -> int:
        return from_timestamp(Timestamp(self.now, 0)) if self.knows_time else UNKNOWN_TIME

    # What the flow sees of it.

    @property
    def token(self) -> Mapping[str, Any]:
        return {"sent": self.sent}

    def ask(self) -> Changes:
        with self.doing("ask"):
            self.go_on()
            chosen = self.events[self.sent : self.sent + 3]
            events = [self.event(place + self.sent, *each) for place, each in enumerate(chosen)]
            time = self.time
            self.go_on()
        return Changes(self.handed(events), not events, 0.0, time)

    def handed(self, events: list[Event]) -> Iterator[Event]:
        for event in events:
            self.sent = bson.decode(event.token)["sent"]
            if self.filtered and event.operation == b"insert" and event.document is None:
                continue
            yield event

    def event(self, place: int, operation: str, key: int, time: int) -> Event:
        document: bytes | None = None
        if operation in ("insert", "replace"):
            document = encoded(key, self.visible(time) if operation == "insert" else time)
        elif operation == "update" and not self.filtered:
            document = encoded(key, self.documents.get(key))
            self.go_on()  # each document is looked up on its own
        token = bson.encode({"sent": place + 1})
        return Event(operation.encode(), key_of(key), document, time << 32, token)

    def find(self, keys: Sequence[bytes]) -> Found:
        found: dict[bytes, bytes | None] = {}
        with self.doing("take"):
            for key in keys:
                self.go_on()
                number = bson.decode(key)["_id"]
                found[key] = encoded(number, self.visible(self.documents.get(number)))
            time = self.time
            self.go_on()
        return Found(found, time)

    def close(self) -> None:
        """Nothing is open."""

    # The flow.

    def new_flow(self) -> Collecting:
        self.sent, until = self.committed
        return Collecting(
            self,
            self,
            limits=BatchLimits(writes=9),
            looked_up_until=until,
            filtered=self.filtered,
        )

    def take(self) -> None:
        flow = self.flow
        batch = flow.take()
        assert batch.token is not None
        for key, document in batch.writes.items():
            self.copy[key] = document
            state = None if document is None else bson.decode(document)["at"]
            self.copied[bson.decode(key)["_id"]].append(state)
        known = [each for each in (self.committed[1], batch.looked_up_until) if each]
        self.committed = batch.token["sent"], max(known, default=None)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        self.busy.add(what)
        yield
        self.busy.remove(what)

    def go_on(self) -> None:
        """Do what comes next, up to a pause or to what cannot be done meanwhile."""
        while self.actions and self.actions[0][0] not in self.busy | {"restart"}:
            if self.actions[0][0] == "pause":
                self.actions.pop(0)
                return
            self.step()

    def step(self) -> None:
        kind, key = self.actions.pop(0)
        if kind == "ask":
            if not self.flow.full:
                self.flow.poll()
        elif kind == "take":
            self.take()
        elif kind == "restart":
            self.flow = self.new_flow()
        elif kind != "pause":
            self.change(kind, key)

    def run(self) -> None:
        while self.actions:
            self.step()
        while self.committed[0] < len(self.events):
            self.flow.poll()
            self.take()
        self.take()


def follows(copied: Sequence[State], history: Sequence[State]) -> bool:
    """Whether ``copied`` can be read off ``history`` without ever going back."""
    place = 0
    for state in copied:
        while place < len(history) and history[place] != state:
            place += 1
    return place < len(history)


def test_nothing_of_a_real_servers_backlog_goes_back(mongo: MongoClient[Document]) -> None:
    name = f"backlog-{uuid4().hex[:12]}"
    rows = mongo[name].create_collection("rows")
    collection = raw_collection(mongo, Namespace("", name, "rows"))
    stream = MongoDBStream(collection, current_point(collection), limits=BatchLimits(writes=1))
    for seq in range(200):
        _write(rows, seq)
    seen: dict[int, list[int]] = {}
    while not stream.caught_up:
        stream.poll()
        while stream.events:
            for document in stream.take().writes.values():
                if document is not None:
                    state = bson.decode(document)
                    seen.setdefault(state["_id"], []).append(state["seq"])
    stream.close()
    assert len(seen) == _HOT
    assert all(each == sorted(each) for each in seen.values())
    assert sum(map(len, seen.values())) > 50  # states between the first and the last


def _write(rows: Collection[Document], seq: int) -> None:
    key = {"_id": seq * 7 % _HOT}
    if seq % 11 == 0:
        rows.delete_one(key)
    elif seq % 3:
        rows.update_one(key, {"$set": {"seq": seq}}, upsert=True)
    else:
        rows.replace_one(key, {"seq": seq}, upsert=True)


@pytest.mark.parametrize("filtered", [False, True], ids=["whole", "filtered"])
@pytest.mark.parametrize("knows_time", [True, False], ids=["timed", "untimed"])
@settings(max_examples=60, deadline=None)
@given(actions=_ACTIONS)
@example(actions=script(_SCRIPTS[0]))
@example(actions=script(_SCRIPTS[1]))
@example(actions=script(_SCRIPTS[2]))
@example(actions=script(_SCRIPTS[3]))
def test_states_of_a_copy_never_go_back_and_end_as_the_source(
    actions: list[Action], knows_time: bool, filtered: bool
) -> None:
    world = World(actions, knows_time=knows_time, filtered=filtered)
    world.run()
    for key, copied in world.copied.items():
        assert follows(copied, world.histories[key]), (copied, world.histories[key])
    for key in range(KEYS):
        expected = encoded(key, world.visible(world.documents.get(key)))
        assert world.copy.get(key_of(key)) == expected
