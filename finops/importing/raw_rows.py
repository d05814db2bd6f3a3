"""What reading a file gives, whatever its format: rows of text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class RawRows:
    """Rows as text. ``lines`` has the number of the line on which each begins.

    Parquet has no lines: there it is the number of the row, from 1.
    """

    lines: list[int]
    cells: list[list[str]]


class FileRows(Protocol):
    """The rows of one open file, of one format."""

    names: list[str]  # the columns' names as written
    undecodable: list[int]  # lines with bytes that are not UTF-8, since last asked

    @property
    def position(self) -> int:
        """How many bytes of the file have been read."""
        ...

    def batches(self, size: int) -> Iterator[RawRows]:
        """The rows, ``size`` at a time; raises ``UnreadableFileError`` where they end badly."""
        ...

    def close(self) -> None:
        """Let go of everything but the file itself."""
        ...
