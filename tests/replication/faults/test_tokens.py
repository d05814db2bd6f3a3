"""Entra ID gives no token for longer than tokens live, while a flow is at work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.entra.directory import REPLICATOR_CLIENT_ID, TENANT_ID
from sandbox.entra.faults import Endpoints, FaultKind
from sandbox.entra.server import EntraServer
from tests.replication.faults.arena import MANY_CHUNKS, PATIENCE, Arena, Size
from tests.replication.faults.matrix import Fault, Operation, Pair, covers
from tests.replication.faults.proxy import Proxy
from tests.replication.faults.rules import Holds, On
from tests.replication.faults.workers import Process
from tests.replication.faults.workload import ROWS
from tests.replication.signed_in import Gate, control_of
from tests.replication.tokens import SCOPE
from tests.waiting import wait_until

_LIFETIME = 3  # seconds of a token
_REFUSALS = 3  # after which the outage is felt


class GatedArena(Arena):
    """Workers sign in by tokens of the fake Entra, at gates in front of the servers."""

    def __init__(self, entra: EntraServer, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._entra = entra

    def _connections(self) -> dict[str, dict[str, str]]:
        sides = (self.source, self.destination)
        self._proxies = [Proxy(self._wire, "gate", side.port, side.rules) for side in sides]
        self._gates = [Gate(self._entra, proxy.uri) for proxy in self._proxies]
        fields = {"auth_method": "entra", "tenant_id": TENANT_ID}
        names = ("source", "destination")
        return {
            name: {"uri": gate.uri, **fields} for name, gate in zip(names, self._gates, strict=True)
        }

    def _environment(self) -> dict[str, str]:
        return {
            "ENTRA_CA_FILE": str(self._entra.ca_file),
            "MONGO_ENTRA_AUDIENCES": f"localhost={SCOPE}",
            "MONGO_ALLOWED_HOSTS": "localhost",
            "MONGO_ENTRA_CREDENTIAL": "workload_identity",
            "AZURE_TENANT_ID": TENANT_ID,
            "AZURE_CLIENT_ID": REPLICATOR_CLIENT_ID,
            "AZURE_FEDERATED_TOKEN_FILE": str(self._entra.federated_token_file),
            "AZURE_AUTHORITY_HOST": self._entra.addresses.tls,
        }

    def start_worker(self) -> Process:
        name = f"worker-{len(self._workers)}"
        worker = Process(
            name,
            self._folder / f"{name}.log",
            ["manage.py", "replicate", "--all", "--wait"],
            self.installation.with_database(self.installation.database),
        )
        self._workers.append(worker)
        return worker

    def _close_workers(self) -> None:
        super()._close_workers()
        for gate in self._gates:
            gate.stop()
        for proxy in self._proxies:
            proxy.stop()

    def refusals(self) -> int:
        """How often a gate has answered that a token has expired."""
        return sum(gate.statistics()["refused_391"] for gate in self._gates)


@pytest.fixture
def arena(
    entra: EntraServer,
    ports: tuple[int, int],
    empty_database: Path,
    tmp_path: Path,
    pair: Pair,
) -> Iterator[GatedArena]:
    control_of(entra).set_lifetimes(token=_LIFETIME)
    size = MANY_CHUNKS if pair.operation is Operation.SNAPSHOT else Size()
    with GatedArena(
        entra, tmp_path, empty_database, *ports, seed=pair.seed, size=size, lease=2.0
    ) as arena:
        arena.fill()
        arena.start_worker()
        yield arena


@covers([Fault.TOKEN_OUTAGE], [Operation.STREAM])
def test_a_stream_outlives_an_outage_of_entra(
    pair: Pair, arena: GatedArena, entra: EntraServer
) -> None:
    arena.wait_until_consistent()
    for chance in arena.rounds():
        with arena.changing():
            arena.wait_for_progress()
            outage(arena, entra, chance.choice((FaultKind.STATUS, FaultKind.DROPPED)))
            arena.wait_for_progress()
    arena.verdict()


@covers([Fault.TOKEN_OUTAGE], [Operation.SNAPSHOT])
def test_a_snapshot_outlives_an_outage_of_entra(
    pair: Pair, arena: GatedArena, entra: EntraServer
) -> None:
    held = hold_part(arena)
    for chance in arena.rounds():
        held.wait(PATIENCE)
        outage(arena, entra, chance.choice((FaultKind.STATUS, FaultKind.DROPPED)))
        following = hold_part(arena)  # or the snapshot might end before the last round
        held.release()
        held = following
    held.release()
    arena.wait_until_consistent()
    with arena.changing():
        arena.wait_for_progress()
    assert arena.watcher.history(ROWS).generation == 1, "the snapshot started over"
    arena.verdict()


def hold_part(arena: Arena) -> Holds:
    return arena.destination.rules.hold(On("insert", ROWS))


def outage(arena: GatedArena, entra: EntraServer, kind: FaultKind) -> None:
    """Give no token until the last one has expired, and that has been noticed."""
    control = control_of(entra)
    control.fail(Endpoints.TOKEN, kind, times=None)
    before = arena.refusals()
    wait_until(
        lambda: arena.refusals() >= before + _REFUSALS, timeout=30, what="the outage is felt"
    )
    control.stop_failing()
