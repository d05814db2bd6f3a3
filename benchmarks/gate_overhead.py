"""What the OIDC gate costs: ``python -m benchmarks.gate_overhead`` (about 15 s).

A ping, and a find of 10,000 documents, directly at the embedded server and through the gate in a
process of its own. The two take turns, so that a busy machine slows both; medians are printed.
"""

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from sandbox.mongod import answers_ping, secantusd_command
from tests.conftest import free_port
from tests.sandbox.gate_running import (
    AUDIENCE,
    ISSUER,
    PRINCIPAL,
    MintingCallback,
    TokenIssuer,
)
from tests.waiting import wait_until

SECONDS = 6.0  # for each of the two measurements
DOCUMENTS = 10_000
Client = MongoClient[dict[str, Any]]


@contextlib.contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextlib.contextmanager
def clients(folder: Path) -> Iterator[tuple[Client, Client]]:
    """One client at the server and one through a gate in front of it."""
    port, issuer = free_port(), TokenIssuer()
    gate_command = [sys.executable, "-m", "sandbox.gate", "--listen", "127.0.0.1:0"]
    gate_command += ["--upstream", f"127.0.0.1:{port}", "--jwks-url", issuer.keys_url]
    gate_command += ["--issuer", ISSUER, "--audience", AUDIENCE, "--principal", PRINCIPAL]
    with contextlib.ExitStack() as stack:
        stack.callback(issuer.stop)
        stack.enter_context(running(secantusd_command(port=port, storage=folder)))
        wait_until(lambda: answers_ping(port), what="the embedded MongoDB answers")
        gate = stack.enter_context(running(gate_command, stdout=subprocess.PIPE))
        assert gate.stdout is not None
        gate_port = json.loads(gate.stdout.readline())["port"]
        callback = MintingCallback(issuer.mint)
        direct: Client = MongoClient(f"mongodb://127.0.0.1:{port}/?directConnection=true")
        through: Client = MongoClient(
            f"mongodb://127.0.0.1:{gate_port}/",
            authMechanism="MONGODB-OIDC",
            authMechanismProperties={"OIDC_CALLBACK": callback},
        )
        yield stack.enter_context(direct), stack.enter_context(through)


def ping(client: Client) -> None:
    client.admin.command("ping")


def find(client: Client) -> None:
    assert sum(1 for _ in client["benchmark"]["documents"].find()) == DOCUMENTS


def compare(name: str, work: Callable[[Client], None], direct: Client, through: Client) -> None:
    times: dict[str, list[float]] = {"direct": [], "through": []}
    deadline = time.monotonic() + SECONDS
    for client in (direct, through):
        work(client)  # connections are made here
    while time.monotonic() < deadline:
        for where, client in (("direct", direct), ("through", through)):
            began = time.perf_counter()
            work(client)
            times[where].append((time.perf_counter() - began) * 1000)
    at_server, at_gate = (statistics.median(times[where]) for where in ("direct", "through"))
    print(
        f"{name:24} direct {at_server:8.3f} ms   gate {at_gate:8.3f} ms   "
        f"ratio {at_gate / at_server:5.2f}   ({len(times['direct'])} rounds)"
    )


def main() -> None:
    print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    print(f"pymongo {version('pymongo')}, SecantusDB {version('SecantusDB')}")
    with tempfile.TemporaryDirectory() as folder, clients(Path(folder)) as (direct, through):
        direct["benchmark"]["documents"].insert_many(
            {"_id": number, "text": "x" * 250} for number in range(DOCUMENTS)
        )
        compare("ping, median", ping, direct, through)
        compare(f"find of {DOCUMENTS:,} documents", find, direct, through)


if __name__ == "__main__":
    main()
