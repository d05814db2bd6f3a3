"""Where the processes of one group add up their metrics. Used by the settings, so without Django.

A group is what the operating system calls one: a worker with its children, or a web server with
its processes. Each has a folder of its own, so that each address shows its own numbers only.
"""

import os
import shutil
import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def group_folder(parent: Path) -> Path:
    """Make and return this process group's folder, and remove those of groups that have ended.

    Raises:
        ImproperlyConfigured: the folder cannot be made.
    """
    host = socket.gethostname()
    folder = parent / f"{host}-{os.getpgrp()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"METRICS_DIR is {parent}: {error.strerror}; name a folder that may be written, or"
            " leave it empty if each group has one process."
        ) from None
    for other in parent.glob(f"{host}-*"):
        group = other.name.removeprefix(f"{host}-")
        if group.isdecimal() and not _exists(os.killpg, int(group)):
            shutil.rmtree(other, ignore_errors=True)
    return folder


def process_exists(pid: int) -> bool:
    """Whether a process of that number runs on this machine."""
    return _exists(os.kill, pid)


def networks(texts: Iterable[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read METRICS_ALLOWED_NETWORKS; raises ImproperlyConfigured."""
    try:
        return tuple(ip_network(text.strip()) for text in texts)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"METRICS_ALLOWED_NETWORKS: {error}; expected networks such as 10.0.0.0/8 or ::1."
        ) from None


def _exists(signal: Callable[[int, int], None], number: int) -> bool:
    try:
        signal(number, 0)  # 0 is sent to nobody: it only asks
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True
