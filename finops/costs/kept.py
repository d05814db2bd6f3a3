"""Answers kept in the process: a bounded amount, those used longest ago given up first."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """A cache whose keys say all that its values depend on, so that none is ever out of date."""

    def __init__(self, room: int, weight: Callable[[T], int] = lambda _: 1) -> None:
        """The weights of all values together stay within ``room``."""
        self._room = room
        self._weight = weight
        self._found: OrderedDict[Hashable, T] = OrderedDict()
        self._total = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is kept under ``key``, else what ``make`` returns, which is kept from now on.

        Two threads may both make it; whatever ``make`` raises, nothing is kept.
        """
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        made = make()
        with self._lock:
            if key not in self._found:
                self._found[key] = made
                self._total += self._weight(made)
            while self._total > self._room:
                _, given_up = self._found.popitem(last=False)
                self._total -= self._weight(given_up)
        return made
