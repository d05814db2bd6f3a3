"""Files that only their owner may read, written whole or not at all."""

import os
import secrets
from pathlib import Path


class DamagedState(Exception):
    """A file of the state directory cannot be read as what it should be."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(
            f"{path} {found}. Delete the folder {path.parent} to have everything in it made anew."
        )


def write_private(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace ``path`` by ``content`` in one step, with ``mode`` from its first byte on."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def read_if_there(path: Path) -> bytes | None:
    """The content of ``path``, or None where there is no such file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
