"""The next item is made while the one before is worked on, and nothing is left behind."""

import threading
from collections.abc import Generator

import pytest

from replication.prefetch import prepared_ahead
from tests.waiting import wait_until


class Source:
    """Items that tell how many were made, and whether they were closed."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.made = 0
        self.closed = threading.Event()
        self._count = count
        self._error = error

    def items(self) -> Generator[int, None, None]:
        try:
            while self.made < self._count:
                self.made += 1
                yield self.made
            if self._error is not None:
                raise self._error
        finally:
            self.closed.set()


def nothing() -> None:
    """What a caller does that waits as long as it takes."""


def test_items_come_in_order_and_the_source_is_closed() -> None:
    source = Source(20)
    with prepared_ahead(source.items(), waiting=nothing) as items:
        assert list(items) == list(range(1, 21))
    assert source.closed.is_set()


def test_the_next_items_are_made_meanwhile_but_never_many() -> None:
    source = Source(100)
    with prepared_ahead(source.items(), waiting=nothing) as items:
        assert next(items) == 1
        # One is waiting, and one is ready to wait.
        wait_until(lambda: source.made == 3, what="items are made ahead")
        assert next(items) == 2
    assert source.made <= 4
    assert source.closed.is_set()


def test_an_error_comes_where_the_item_would_have_been() -> None:
    source = Source(2, ValueError("it broke"))
    with prepared_ahead(source.items(), waiting=nothing) as items:
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(ValueError, match="it broke"):
            next(items)
    assert source.closed.is_set()


def test_who_leaves_early_closes_the_source() -> None:
    source = Source(100)
    with prepared_ahead(source.items(), waiting=nothing) as items:
        next(items)
    assert source.closed.is_set()
    assert source.made <= 4


def test_who_should_not_wait_any_longer_leaves() -> None:
    answer = threading.Event()

    def items() -> Generator[int, None, None]:
        answer.wait(30)
        yield 1

    def waiting() -> None:
        answer.set()
        raise TimeoutError

    with pytest.raises(TimeoutError), prepared_ahead(items(), waiting=waiting) as found:
        next(found)
