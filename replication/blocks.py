"""Documents one behind the other, as servers send and take them: looked into only where needed."""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import overload

from replication.keys import split_documents

_length = struct.Struct("<i").unpack_from


class Blocks(Sequence[bytes]):
    """A sequence of documents that stays the blocks of bytes in which they came."""

    def __init__(self) -> None:
        self._blocks: list[tuple[bytes, int]] = []
        self._count = 0

    def append(self, data: bytes, count: int) -> None:
        """Add a block of ``count`` documents."""
        self._blocks.append((data, count))
        self._count += count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        for data, _count in self._blocks:
            yield from split_documents(data)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        return list(self)[index]

    def pieces(self, most: Callable[[], int], size: int) -> Iterator[tuple[bytes, int]]:
        """Yield blocks of at most ``most()`` documents, asked for each, and ``size`` bytes.

        Small blocks are joined. A document that is larger alone has a block of its own.
        """
        joined: list[bytes] = []
        count = length = 0
        limit = most()
        for data, documents in self._blocks:
            if joined and (count + documents > limit or length + len(data) > size):
                yield b"".join(joined), count
                joined, count, length, limit = [], 0, 0, most()
            if documents > limit or len(data) > size:
                yield from _cut(data, most, size)
                continue
            joined.append(data)
            count, length = count + documents, length + len(data)
        if joined:
            yield b"".join(joined), count


def measured(data: bytes) -> tuple[int, int]:
    """Return how many documents there are in a block, and where the last one begins."""
    count = start = last = 0
    end = len(data)
    while start < end:
        last = start
        start += _length(data, start)[0]
        count += 1
    return count, last


def _cut(data: bytes, most: Callable[[], int], size: int) -> Iterator[tuple[bytes, int]]:
    began = start = count = 0
    limit = most()
    while start < len(data):
        end = start + _length(data, start)[0]
        if count and (count >= limit or end - began > size):
            yield data[began:start], count
            began, count, limit = start, 0, most()
        start = end
        count += 1
    yield data[began:], count
