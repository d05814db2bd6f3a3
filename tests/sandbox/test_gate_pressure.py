"""A side that does not read slows the other down; nothing piles up in the gate."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.conftest import GateFactory
from tests.sandbox.gate_running import RawClient, RunningGate, frame, message

MEGABYTE = 1_000_000
# What two pairs of sockets hold at most on Linux (6 MB to read, 4 MB to write, each way, twice)
# and the few messages that the gate has in hand.
BOUND = 40 * MEGABYTE


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def gate(server: socket.socket, gate_factory: GateFactory) -> RunningGate:
    return gate_factory(server.getsockname()[1])


def push(sender: socket.socket, piece: bytes) -> int:
    """Send ``piece`` again and again until nobody takes more; return how many bytes were taken."""
    sender.settimeout(0.3)
    taken, rest = 0, memoryview(b"")
    with contextlib.suppress(TimeoutError):
        while taken < 3 * BOUND:
            rest = rest or memoryview(piece)
            sent = sender.send(rest)
            taken, rest = taken + sent, rest[sent:]
    return taken


def test_a_server_that_does_not_read_slows_the_client(
    gate: RunningGate, server: socket.socket
) -> None:
    with RawClient(gate.port) as client:
        upstream, _ = server.accept()
        with upstream:
            assert client.sign_in(gate.issuer.mint())["ok"] == 1
            insert = message({"insert": "a", "data": b"x" * MEGABYTE, "$db": "a"})
            assert push(client.socket, insert) < BOUND


def test_a_client_that_does_not_read_slows_the_server(
    gate: RunningGate, server: socket.socket
) -> None:
    with RawClient(gate.port):
        upstream, _ = server.accept()
        with upstream:
            assert push(upstream, frame(b"x" * MEGABYTE)) < BOUND


def test_a_client_that_floods_before_the_server_is_there_waits(gate_factory: GateFactory) -> None:
    # Nothing accepts here: the backlog of one is taken up, so dialling hangs.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            gate = gate_factory(full.getsockname()[1])
            with RawClient(gate.port) as client:
                assert push(client.socket, message({"hello": 1})) < BOUND


def test_an_answer_of_the_gates_own_never_lands_inside_one_of_the_servers(
    gate: RunningGate, server: socket.socket
) -> None:
    answer = message({"ok": 1.0, "from": "the server"})
    with RawClient(gate.port) as client:
        upstream, _ = server.accept()
        with upstream:
            assert client.sign_in(gate.issuer.mint())["ok"] == 1
            upstream.sendall(answer[:30])
            assert client.command({"": 1})["code"] == 59
            upstream.sendall(answer[30:])
            assert client.receive() == {"ok": 1.0, "from": "the server"}
