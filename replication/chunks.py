"""What one transaction of a snapshot brings: documents that the copy lacks, or has differently."""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field

from replication.blocks import Blocks, measured
from replication.keys import id_of, key_document, order_key
from replication.ranges import Range, ranges

DOCUMENTS_PER_CHUNK = 5_000
BYTES_PER_CHUNK = 8 * 1024 * 1024
# Of a range that is equal on both sides nothing is written: only how far one has come.
_COMPARED_PER_CHUNK = 20_000

Batches = Iterable[Sequence[bytes]]
# Returns those of the keys (as documents) that the source really lacks.
Missing = Callable[[Sequence[bytes]], Sequence[bytes]]


@dataclass
class Chunk:
    """``read`` documents of the source, up to the key ``last``, and what they change."""

    new: Blocks = field(default_factory=Blocks)  # documents that the copy lacks
    # The others by key: a document that differs, or None for one to be removed.
    writes: dict[bytes, bytes | None] = field(default_factory=dict)
    read: int = 0
    last: bytes | None = None
    size: int = 0  # bytes of documents

    @property
    def full(self) -> bool:
        """Whether it should be committed now."""
        return (
            len(self.new) + len(self.writes) >= DOCUMENTS_PER_CHUNK
            or self.size >= BYTES_PER_CHUNK
            or self.read >= _COMPARED_PER_CHUNK
        )


def into_an_empty_copy(source: Iterable[bytes]) -> Generator[Chunk, None, None]:
    """Yield chunks of documents in order of ``_id``, none of which the copy can have.

    ``source`` gives blocks of documents.
    """
    chunk = Chunk()
    for data in source:
        if chunk.read and chunk.size + len(data) > BYTES_PER_CHUNK:
            yield chunk
            chunk = Chunk()
        count, last = measured(data)
        chunk.new.append(data, count)
        chunk.read += count
        chunk.size += len(data)
        chunk.last = key_document(data[last:])
        if chunk.full:
            yield chunk
            chunk = Chunk()
    if chunk.read:
        yield chunk


def against_a_copy(
    source: Batches, copy: Batches, missing: Missing | None
) -> Generator[Chunk, None, None]:
    """Compare two sides in order of ``_id``, and yield chunks of what differs.

    With ``missing`` what only the copy has is removed; without, it stays.
    """
    chunk = Chunk()
    for found in ranges(source, copy):
        if found.source != found.destination:
            gone = _compare(found, chunk)
            if gone and missing is not None:
                chunk.writes |= dict.fromkeys(missing(gone))
        chunk.read += len(found.source)
        if found.source:
            chunk.last = key_document(found.source[-1])
        if chunk.full:
            yield chunk
            chunk = Chunk()
    if chunk.read or chunk.writes:
        yield chunk


def _compare(found: Range, chunk: Chunk) -> list[bytes]:
    """Note what has to be written, and return the keys of what only the copy has."""
    there = {order_key(id_of(document)): document for document in found.destination}
    for document in found.source:
        other = there.pop(order_key(id_of(document)), None)
        if other == document:
            continue
        chunk.size += len(document)
        if other is None:
            chunk.new.append(document, 1)
            continue
        if key_document(other) != key_document(document):
            # 1 and 1.0 are one _id, which no update changes.
            chunk.writes[key_document(other)] = None
        chunk.writes[key_document(document)] = document
    return [key_document(document) for document in there.values()]
