"""Two sorted streams of documents, cut into the same ranges of ``_id`` and compared.

A range is compared by the number of its documents and a digest that does not depend on their
order; only one that differs is looked into. Nothing here talks to a server.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from replication.keys import OrderKey, id_of, key_document, order_key

_DIGEST_BYTES = 16
_MODULUS = 1 << (8 * _DIGEST_BYTES)


class Kind(StrEnum):
    """How the destination differs from the source in one document."""

    MISSING = "missing"  # only the source has it
    EXTRA = "extra"  # only the destination has it
    CHANGED = "changed"  # both have it, in different bytes


@dataclass(frozen=True)
class RangeDigest:
    """The number of documents and the sum of their hashes: the same in whatever order."""

    count: int = 0
    total: int = 0

    @classmethod
    def of(cls, documents: Iterable[bytes]) -> "RangeDigest":
        """Return the digest of documents, given as the bytes of their BSON."""
        hashes = [blake2b(document, digest_size=_DIGEST_BYTES).digest() for document in documents]
        return cls(len(hashes), sum(int.from_bytes(each) for each in hashes) % _MODULUS)

    def __add__(self, other: "RangeDigest") -> "RangeDigest":
        return RangeDigest(self.count + other.count, (self.total + other.total) % _MODULUS)

    def __str__(self) -> str:
        return f"{self.total:032x}"


@dataclass(frozen=True)
class Range:
    """What both sides hold between two ``_id`` values."""

    source: Sequence[bytes]
    destination: Sequence[bytes]


def ranges(
    source: Iterable[Sequence[bytes]], destination: Iterable[Sequence[bytes]]
) -> Iterator[Range]:
    """Cut both sides, each batches of documents in order of ``_id``, into the same ranges.

    Every document is in exactly one range, even where a server's order is another than ours:
    then ranges differ that need not, and what they name has to be looked at again.
    """
    left, right = _Buffer(source), _Buffer(destination)
    while True:
        ahead, behind = left.fill(), right.fill()
        if not ahead or not behind:
            if ahead or behind:
                yield Range(left.take_all(), right.take_all())
                continue
            return
        count = min(len(left.documents), len(right.documents))
        ends = key_document(left.documents[count - 1]), key_document(right.documents[count - 1])
        if ends[0] == ends[1]:  # almost always: the same documents on both sides
            yield Range(left.take(count), right.take(count))
            continue
        last = min(left.last(), right.last())
        yield Range(left.take_until(last), right.take_until(last))


def differences(found: Range) -> Iterator[tuple[Kind, bytes]]:
    """Name what differs in a range: the kind, and the ``_id`` as a document of it alone.

    Of a changed document it is the source's ``_id``: 1 and 1.0 are one key in different bytes.
    """
    there = {order_key(id_of(document)): document for document in found.destination}
    for document in found.source:
        other = there.pop(order_key(id_of(document)), None)
        if other is None:
            yield Kind.MISSING, key_document(document)
        elif other != document:
            yield Kind.CHANGED, key_document(document)
    for document in there.values():
        yield Kind.EXTRA, key_document(document)


class _Buffer:
    """The documents of one side that no range has taken yet: never more than one batch."""

    def __init__(self, batches: Iterable[Sequence[bytes]]) -> None:
        self._batches = iter(batches)
        self.documents: Sequence[bytes] = ()

    def fill(self) -> bool:
        while not self.documents:
            batch = next(self._batches, None)
            if batch is None:
                return False
            self.documents = batch
        return True

    def last(self) -> OrderKey:
        return order_key(id_of(self.documents[-1]))

    def take(self, count: int) -> Sequence[bytes]:
        taken, self.documents = self.documents[:count], self.documents[count:]
        return taken

    def take_all(self) -> Sequence[bytes]:
        return self.take(len(self.documents))

    def take_until(self, last: OrderKey) -> Sequence[bytes]:
        if self.last() <= last:  # also when its order is not ours, so that one side always moves
            return self.take_all()
        for count, document in enumerate(self.documents):
            if order_key(id_of(document)) > last:
                return self.take(count)
        return self.take_all()
