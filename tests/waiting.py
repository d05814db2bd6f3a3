"""Waiting on conditions, with a deadline: tests never sleep for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], *, timeout: float = 20.0, what: str = "") -> T:
    """Return the first true result of ``predicate``; fail, naming ``what``, after ``timeout`` s."""
    deadline = time.monotonic() + timeout
    pause = 0.005
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or predicate}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
