"""One run of the fault suite: servers, workers, a workload, a watcher, and the verdict."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import bson
from pymongo import MongoClient
from pymongo.collection import Collection

from tests.replication.faults.proxy import Wire
from tests.replication.faults.rules import Rules
from tests.replication.faults.settled import difference, wait_for_settled
from tests.replication.faults.watcher import Watcher
from tests.replication.faults.workers import (
    Installation,
    Process,
    Side,
    Worker,
    new_installation,
    plain,
)
from tests.replication.faults.workload import COLLECTIONS, ROWS, UNIQUE, Workload, changing
from tests.replication.running import Document, raw
from tests.waiting import wait_until

RECOVERY = 20.0  # seconds that a flow may stand still after a kill
PATIENCE = 60.0  # seconds for anything else, on a busy machine too


@dataclass(frozen=True)
class Size:
    """How much there is to copy, and how often a fault is met."""

    keys: int = 5_000
    rounds: int = 6
    padding: int = 200  # bytes of a row at most


# A part is copied in chunks of 8 MB: here it has more of them than a fault has rounds.
MANY_CHUNKS = Size(padding=32_000)


class Arena:
    """Everything around one run. The block's end ends every process and thread of it."""

    def __init__(
        self,
        folder: Path,
        empty_database: Path,
        source_port: int,
        destination_port: int,
        *,
        seed: int,
        size: Size,
        lease: float = 2.0,
    ) -> None:
        self.size = size
        self.seed = seed
        self.exact = True  # whether every event is known, so that each can be asked for
        self.poison = True  # whether there shall be documents that the destination refuses
        name = uuid4().hex[:12]
        self.databases = (f"from-{name}", f"to-{name}")
        self.canary = f"canary-{name}"
        self.source = Side(source_port, Rules())
        self.destination = Side(destination_port, Rules())
        self._folder = folder
        self._empty_database = empty_database
        self._lease = lease
        self._stack = ExitStack()
        self._workers: list[Process] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._wire = stack.enter_context(Wire())
            self.clients = tuple(
                stack.enter_context(_client(side.uri)) for side in (self.source, self.destination)
            )
            self.workload = Workload(
                self.clients[0],
                self.databases[0],
                seed=self.seed,
                keys=self.size.keys,
                padding=self.size.padding,
                canary=self.canary,
            )
            self.installation = self._install()
            self.watcher = stack.enter_context(Watcher(self.destination.uri, self.databases[1]))
            stack.callback(self._close_workers)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _install(self) -> Installation:
        return new_installation(
            self._folder,
            self._empty_database,
            connections=self._connections(),
            databases=self.databases,
            environment={"REPLICATION_LEASE": str(self._lease), **self._environment()},
        )

    def _connections(self) -> dict[str, dict[str, str]]:
        # Every worker's are changed to lead through its own proxies.
        return {"source": plain(self.source.uri), "destination": plain(self.destination.uri)}

    def _environment(self) -> dict[str, str]:
        """What the workers' environment has beside that of every test."""
        return {}

    def _close_workers(self) -> None:
        for side in (self.source, self.destination):
            side.rules.clear()
        for worker in self._workers:
            worker.close()

    def fill(self) -> None:
        """Make what the snapshot will copy; the copies have unique indexes."""
        self.workload.fill()
        self.copy(UNIQUE).create_index("slot", unique=True)
        self.copy(ROWS).create_index("poison", unique=True, sparse=True)

    def rounds(self) -> Iterator[random.Random]:
        """Yield the chances of each round: the same ones in every run."""
        for number in range(self.size.rounds):
            yield random.Random(f"{self.seed}/{number}")

    def start_worker(self) -> Process:
        name = f"worker-{len(self._workers)}"
        worker = Worker(name, self.installation, self._wire, self.source, self.destination)
        self._workers.append(worker)
        return worker

    def worker(self, name: str) -> Process:
        return next(worker for worker in self._workers if worker.name == name)

    def only_worker(self) -> Process:
        """The one that runs."""
        (worker,) = (worker for worker in self._workers if worker.running)
        return worker

    def original(self, collection: str) -> Collection[Document]:
        return self.clients[0][self.databases[0]][collection]

    def copy(self, collection: str) -> Collection[Document]:
        return self.clients[1][self.databases[1]][collection]

    def position(self, collection: str) -> Document:
        """A stream's position as it is stored; empty before there is one."""
        control = self.clients[1]["replication"]["positions"]
        ending = f"/source/{self.databases[0]}.{collection}"
        found = [each for each in control.find() if each["_id"].endswith(ending)]
        return found[0] if found else {}

    def wait_until_consistent(self, timeout: float = 2 * PATIENCE) -> None:
        def consistent() -> bool:
            self.must_be_well()
            return all(self.position(name).get("consistent_since") for name in COLLECTIONS)

        wait_until(consistent, timeout=timeout, what="every copy is consistent")

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Change the source beside the block, then wait until the copies are equal again."""
        if self.poison:
            self.workload.plant()
        with changing(self.workload):
            yield
        self.settle()

    def wait_for_progress(self, timeout: float = PATIENCE) -> float:
        """Wait until the rows' position moves under an owner; return the seconds it took."""
        began = time.monotonic()
        before = self._stand()

        def moved() -> bool:
            self.must_be_well()
            return self._stand() > before

        wait_until(moved, timeout=timeout, what="the flow goes on")
        return time.monotonic() - began

    def wait_for_epoch_after(self, epoch: int, timeout: float = PATIENCE) -> float:
        """Wait until the rows have a later owner than that; return the seconds it took."""
        began = time.monotonic()

        def taken_over() -> bool:
            self.must_be_well()
            return self.epoch() > epoch

        wait_until(taken_over, timeout=timeout, what="a successor takes over")
        return time.monotonic() - began

    def epoch(self) -> int:
        return int(self.position(ROWS).get("epoch", 0))

    def _stand(self) -> tuple[int, int]:
        position = self.position(ROWS)
        return position.get("events", 0), position.get("snapshot_copied") or 0

    def settle(self) -> None:
        """Wait until everything that was changed is in the copies, and nothing else is."""
        if self.exact:
            for name in COLLECTIONS:
                self._wait_for_events(name)
        for name in COLLECTIONS:
            self._wait_until_equal(name)

    def _wait_for_events(self, name: str) -> None:
        wanted = self.workload.events[name]

        def applied() -> bool:
            self.must_be_well()
            return bool(self.position(name).get("events") == wanted)

        def what() -> str:
            return f"{wanted} events of {name} are applied, {self.position(name).get('events')} are"

        wait_for_settled(applied, what)

    def _wait_until_equal(self, name: str) -> None:
        def equal() -> bool:
            self.must_be_well()
            return self._wanted(name) == raw(self.copy(name))

        def what() -> str:
            counts = difference(self._wanted(name), raw(self.copy(name)))
            return f"both sides of {name} are equal: {counts}"

        wait_for_settled(equal, what)

    def _wanted(self, name: str) -> dict[bytes, bytes]:
        """What should be in a copy: what the source has, but for what was planted."""
        planted = {repr(key).encode() for key in self.workload.planted} if name == ROWS else set()
        original = raw(self.original(name))
        return {key: document for key, document in original.items() if key not in planted}

    def must_be_well(self) -> None:
        """Raise when a flow has stopped for good, or the workload has."""
        failures = [each for worker in self._workers for each in worker.failures()]
        assert not failures, failures
        assert self.workload.error is None, self.workload.error

    def verdict(self) -> None:
        """Judge the run: what must hold after every fault."""
        self.settle()
        assert self.watcher.faults() == []
        self._judge_dead_letters()
        self._search_logs()

    def _judge_dead_letters(self) -> None:
        """There is a letter for each planted document, which tells no more than its key."""
        found = self.clients[1]["replication"]["dead_letters"].find()
        letters = [each for each in found if f"/{self.databases[0]}." in each["stream"]]
        assert {letter["stream"].rpartition(".")[2] for letter in letters} <= {ROWS}
        keys = [bson.decode(letter.pop("key"))["_id"] for letter in letters]
        assert sorted(keys) == sorted(self.workload.planted)
        assert self.canary not in repr(letters)

    def _search_logs(self) -> None:
        logs = sorted(self._folder.glob("**/*.log"))
        texts = {log: log.read_text(errors="replace") for log in logs}
        assert any("slice_began" in text for text in texts.values()), "nothing was logged"
        told = {log.name: _around(text, self.canary) for log, text in texts.items()}
        assert {name: place for name, place in told.items() if place} == {}
        control: Any = self.clients[1]["replication"]
        for name in ("leases", "positions"):
            assert self.canary not in repr(list(control[name].find())), name


def _client(uri: str) -> MongoClient[Document]:
    return MongoClient(uri, serverSelectionTimeoutMS=3000, serverMonitoringMode="poll")


def _around(text: str, wanted: str) -> str:
    at = text.find(wanted)
    return text[max(0, at - 200) : at + 50] if at >= 0 else ""
