"""The embedded MongoDB (SecantusDB) as a process of its own: its command line and its readiness.

It is GPL and is never imported; only its console script is started and spoken to over the wire.
"""

import socket
import struct
import sys
from pathlib import Path

import bson

# A laptop that slept for months still resumes its change streams.
OPLOG_RETENTION_SECONDS = 365 * 24 * 3600
# Far above what the demo writes. The cap is only compared with a counter: nothing is allocated.
OPLOG_MAX_ENTRIES = 50_000_000
# MongoDB's own period. It keeps the resume tokens of quiet collections moving.
NOOP_HEARTBEAT_SECONDS = 10

# Naming a file stops the server from looking for one in the working or the home directory.
_CONFIG = Path(__file__).with_name("secantusd.toml")
_OP_MSG = 2013


class ServerNotInstalled(RuntimeError):
    """The embedded server's console script is not beside this Python."""


def secantusd_command(*, port: int, storage: Path, failpoints: bool = False) -> list[str]:
    """Return the command that serves ``storage`` on 127.0.0.1:``port``.

    The server writes its log to standard error, ends within seconds of SIGTERM, and keeps every
    acknowledged write over a SIGKILL. ``failpoints`` lets any client inject failures: tests only.

    Raises:
        ServerNotInstalled: when the virtual environment lacks the server.
    """
    script = Path(sys.executable).with_name("secantusd-py")
    if not script.is_file():
        raise ServerNotInstalled(
            f"{script} does not exist. The embedded MongoDB comes with requirements-sandbox.txt: "
            f"run '{sys.executable} -m pip install -r requirements-sandbox.txt'."
        )
    command = [
        str(script),
        "--config",
        str(_CONFIG),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--storage-path",
        str(storage),
        "--sync-on-commit",
        "--oplog-retention-seconds",
        str(OPLOG_RETENTION_SECONDS),
        "--oplog-max-entries",
        str(OPLOG_MAX_ENTRIES),
        "--noop-heartbeat-seconds",
        str(NOOP_HEARTBEAT_SECONDS),
        "--log-level",
        "WARNING",
    ]
    return [*command, "--enable-test-commands"] if failpoints else command


def answers_ping(port: int, *, host: str = "127.0.0.1", timeout: float = 1.0) -> bool:
    """Whether a MongoDB there answers ``ping`` with ok within ``timeout`` seconds."""
    body = b"\0" * 5 + bson.encode({"ping": 1, "$db": "admin"})
    try:
        with socket.create_connection((host, port), timeout=timeout) as server:
            server.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, _OP_MSG) + body)
            with server.makefile("rb") as answer:
                (length,) = struct.unpack("<i", answer.read(4))
                reply = bson.decode(answer.read(length - 4)[17:])
    except (OSError, struct.error, bson.errors.BSONError):
        return False
    return reply.get("ok") == 1
