"""Streams and flows live longer than tokens: nothing is lost when a token expires."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.collection import Collection

from replication.auth.mongo_entra import MongoEntraTokenProvider
from replication.errors import TokenUnavailable
from replication.spec import Namespace
from replication.streams import MongoDBStream, current_point, raw_collection
from replication.worker import Timing
from sandbox.entra.faults import Endpoints
from sandbox.entra.server import EntraServer
from tests.replication.running import Document, Flow, raw, running
from tests.replication.signed_in import Gate, client_through, control_of, provider_for
from tests.waiting import wait_until

PERIOD = 0.02


@contextmanager
def inserting(collection: Collection[Document]) -> Iterator[list[int]]:
    """Insert a numbered row every 20 ms beside the block; the numbers so far."""
    numbers: list[int] = []
    stop = threading.Event()

    def insert() -> None:
        while not stop.wait(PERIOD):
            collection.insert_one({"_id": len(numbers)})
            numbers.append(len(numbers))

    thread = threading.Thread(target=insert)
    thread.start()
    try:
        yield numbers
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "seconds", [15, pytest.param(60, marks=pytest.mark.slow)], ids=lambda value: f"{value}s"
)
def test_one_change_stream_outlives_its_tokens(
    entra: EntraServer,
    new_gate: Callable[[], Gate],
    mongo: MongoClient[Document],
    seconds: int,
) -> None:
    control_of(entra).set_lifetimes(token=3)
    gate, provider = new_gate(), provider_for(entra)
    name = f"expiring-{seconds}-{time.time_ns()}"
    mongo[name].create_collection("rows")
    with ExitStack() as stack:
        stack.callback(provider.close)
        client = stack.enter_context(client_through(gate, provider))
        start = current_point(raw_collection(mongo, Namespace("", name, "rows")))
        stream = MongoDBStream(raw_collection(client, Namespace("", name, "rows")), start)
        stack.callback(stream.close)
        received: list[int] = []

        def read() -> int:
            batch = stream.read()
            received.extend(RawBSONDocument(key)["_id"] for key in batch.writes)
            return batch.events

        with inserting(mongo[name]["rows"]) as inserted:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                read()
        while len(received) < len(inserted) and read():
            pass
        statistics = gate.statistics()
    assert len(inserted) > seconds / PERIOD / 3
    assert received == inserted
    assert statistics["change_streams_opened"] == 1
    assert statistics["refused_391"] >= seconds / 3 - 2
    assert statistics["refused_18"] == 0


def test_a_flow_between_two_gates_outlives_its_tokens_and_an_outage(
    entra: EntraServer, new_gate: Callable[[], Gate], mongo: MongoClient[Document]
) -> None:
    control = control_of(entra)
    control.set_lifetimes(token=2)
    from_gate, to_gate, provider = new_gate(), new_gate(), provider_for(entra)
    look = Flow(mongo, mongo, partition_fields=("Day",))
    look.source.insert_many([{"_id": f"first-{n}", "Day": n % 3} for n in range(500)])
    with ExitStack() as stack:
        stack.callback(provider.close)
        flow = Flow(
            stack.enter_context(client_through(from_gate, provider)),
            stack.enter_context(client_through(to_gate, provider)),
            partition_fields=("Day",),
            flow_id=look.id,
        )
        slice_ = stack.enter_context(running(flow, Timing(lease=timedelta(seconds=20))))
        look.wait_until_consistent()
        with inserting(look.source) as inserted:
            wait_until(lambda: look.events() > 50, what="the flow follows")
            control.fail(Endpoints.TOKEN, times=None)
            wait_until(lambda: _without_token(provider), what="the last token has expired")
            control.stop_failing()
            before = look.events()
            wait_until(lambda: look.events() > before, what="the flow goes on")
        wait_until(lambda: look.events() == len(inserted), what="every event is applied")
        assert slice_.running
        assert raw(look.copy) == raw(look.source)
        assert from_gate.statistics()["refused_391"] > 0


def _without_token(provider: MongoEntraTokenProvider) -> bool:
    try:
        provider.get_mongo_token(timeout=1)
    except TokenUnavailable:
        return True
    return False
