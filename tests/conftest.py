"""Fixtures that more than one folder of tests uses."""

import socket
import subprocess
from collections.abc import Iterator

import pytest

from sandbox.mongod import answers_ping, secantusd_command
from tests.waiting import wait_until


def free_port() -> int:
    """A port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a real embedded MongoDB without authentication, failpoints enabled.

    One process for the whole session: use a database of your own name in every test, and turn off
    the failpoints that you set.
    """
    folder = tmp_path_factory.mktemp("mongo")
    port = free_port()
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            secantusd_command(port=port, storage=folder / "data", failpoints=True),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:

        def ready() -> bool:
            assert process.poll() is None, f"the server ended: {log.read_text()[-2000:]}"
            return answers_ping(port)

        wait_until(ready, timeout=30, what="the embedded MongoDB answers")
        yield f"mongodb://127.0.0.1:{port}/?directConnection=true"
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)
