"""Entra ID is gone for longer than tokens live: callers hear one error, and nothing is lost."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from replication.changes import BatchLimits
from replication.errors import TokenUnavailable
from replication.mongo import Client
from replication.spec import Namespace
from replication.streams import MongoDBStream, current_point, raw_collection
from sandbox.entra.faults import Endpoints, FaultKind
from sandbox.entra.server import EntraServer
from tests.replication.running import Document
from tests.replication.signed_in import Gate, client_through, control_of, provider_for
from tests.replication.test_expiring_tokens import inserting
from tests.waiting import wait_until


class Caller:
    """Reads one document again and again, and keeps what it met."""

    def __init__(self, client: Client, database: str) -> None:
        self._rows = client[database]["rows"]
        self._stop = threading.Event()
        self.errors: set[type[Exception]] = set()
        self.answered_at = 0.0
        self._thread = threading.Thread(target=self._call)
        self._thread.start()

    def _call(self) -> None:
        while not self._stop.wait(0.02):
            try:
                self._rows.find_one()
            except Exception as error:  # noqa: BLE001 - which ones is the question
                self.errors.add(type(error))
            else:
                self.answered_at = time.monotonic()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


class Reader:
    """Reads a stream's events in order, over whatever sign-in does."""

    def __init__(self, stream: MongoDBStream) -> None:
        self._stream = stream
        self._stop = threading.Event()
        self.received: list[int] = []
        self.errors: set[type[Exception]] = set()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            try:
                batch = self._stream.read()
            except Exception as error:  # noqa: BLE001 - which ones is the question
                self.errors.add(type(error))
                self._stop.wait(0.05)
            else:
                self.received.extend(RawBSONDocument(key)["_id"] for key in batch.writes)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        (FaultKind.STATUS, 4),
        pytest.param(FaultKind.STATUS, 30, marks=pytest.mark.slow),
        pytest.param(FaultKind.DROPPED, 30, marks=pytest.mark.slow),
    ],
)
def test_an_outage_longer_than_tokens_live_is_survived_on_the_same_objects(
    entra: EntraServer,
    new_gate: Callable[[], Gate],
    mongo: MongoClient[Document],
    kind: FaultKind,
    seconds: int,
) -> None:
    control = control_of(entra)
    control.set_lifetimes(token=2)
    gate, provider = new_gate(), provider_for(entra)
    name = f"outage-{kind}-{seconds}-{time.time_ns()}"
    mongo[name].create_collection("rows")
    with ExitStack() as stack:
        stack.callback(provider.close)
        client = stack.enter_context(client_through(gate, provider))
        start = current_point(raw_collection(mongo, Namespace("", name, "rows")))
        rows = raw_collection(client, Namespace("", name, "rows"))
        # Batches that do not wait for more: what counts is when the first event is there.
        stream = MongoDBStream(rows, start, limits=BatchLimits(age=0.05))
        stack.callback(stream.close)
        caller, reader = Caller(client, name), Reader(stream)
        stack.callback(caller.stop)
        stack.callback(reader.stop)
        inserted = stack.enter_context(inserting(mongo[name]["rows"]))
        wait_until(lambda: reader.received and caller.answered_at, what="all works")
        control.fail(Endpoints.TOKEN, kind, times=None)
        outage_ends = time.monotonic() + seconds
        wait_until(lambda: caller.errors and reader.errors, what="the token has expired")
        wait_until(lambda: time.monotonic() > outage_ends, timeout=seconds + 1, what="the outage")
        known = len(reader.received)
        control.stop_failing()
        back = time.monotonic()
        wait_until(lambda: caller.answered_at > back, timeout=5, what="the caller is answered")
        assert caller.answered_at - back < 2
        wait_until(lambda: len(reader.received) > known, timeout=5, what="the stream goes on")
        assert time.monotonic() - back < 2
        wait_until(lambda: len(reader.received) >= len(inserted), what="the stream has caught up")
    assert caller.errors == reader.errors == {TokenUnavailable}
    assert reader.received == list(range(len(reader.received)))


def test_an_outage_shorter_than_a_token_lives_is_not_noticed(
    entra: EntraServer, new_gate: Callable[[], Gate]
) -> None:
    gate, provider = new_gate(), provider_for(entra)
    with ExitStack() as stack:
        stack.callback(provider.close)
        client = stack.enter_context(client_through(gate, provider))
        client["calm"]["rows"].find_one()
        control_of(entra).fail(Endpoints.TOKEN, times=None)
        provider.refresh_if_due()
        with client_through(gate, provider) as another:
            for used in (client, another):
                assert used["calm"]["rows"].find_one() is None
