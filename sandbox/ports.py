"""Ports of the sandbox's parts: free ones, the same as last time where they still are free."""

import json
import socket
from pathlib import Path


class PortTakenError(Exception):
    """The one port that people type is in use."""


def is_free(port: int) -> bool:
    """Say whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def choose_ports(names: list[str], *, memory: Path) -> dict[str, int]:
    """Return a free port for each name, and remember the choice in the file ``memory``."""
    last: dict[str, int] = json.loads(memory.read_text()) if memory.exists() else {}
    chosen: dict[str, int] = {}
    for name in names:
        port = last.get(name, 0)
        while not port or port in chosen.values() or not is_free(port):
            port = _any_free_port()
        chosen[name] = port
    memory.write_text(json.dumps(chosen, indent=1))
    return chosen


def require_free(port: int) -> None:
    """Raise ``PortTakenError`` unless the web server can have this port."""
    if not is_free(port):
        raise PortTakenError(
            f"web: port {port} is in use by another program. End that program, or choose another"
            f" port: make demo PORT={port + 1}"
        )
