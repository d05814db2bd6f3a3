"""Copies one part of a snapshot, chunk by chunk, from wherever the last commit left it.

Documents pass as the bytes that the source sent. Into a copy that was empty they are inserted
unseen. Otherwise both sides are read once, in order of ``_id``, and only what differs is written;
in a repeated snapshot what only the copy has is removed. A document that comes back or changes
meanwhile is in the stream, which begins before the snapshot.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, cast

import structlog
from bson import Binary
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from replication.chunks import Chunk, against_a_copy, into_an_empty_copy
from replication.estuary import MongoEndpoint
from replication.keys import id_of, order_key, split_documents
from replication.lookups import IDS_PER_QUERY
from replication.metrics import count_copied
from replication.parts import Part
from replication.planning import beyond_brackets
from replication.prefetch import prepared_ahead
from replication.rules import shaper
from replication.spec import StreamSpec
from replication.streams import RAW

log = structlog.get_logger(__name__)

_DOCUMENTS_PER_READ = 5_000
_DUPLICATE_KEY = 11000
_RATE_WINDOW = 30.0  # seconds that the rate is taken over


class PartCopy:
    """Copies what is left of the part that ``endpoint`` is for.

    ``go_on`` is called between chunks and while waiting for one; it raises when this worker should
    leave.
    """

    def __init__(
        self,
        source: Collection[RawBSONDocument],
        copy: Collection[RawBSONDocument],
        endpoint: MongoEndpoint[Part],
        spec: StreamSpec,
        *,
        go_on: Callable[[], None],
    ) -> None:
        self._source = source
        self._copy = copy
        self._endpoint = endpoint
        self._flow = spec.flow_name
        self._query = spec.query()  # never of the _id
        self._shape = shaper(spec)
        self._go_on = go_on
        self._rate = _Rate(endpoint.position.copied)

    def run(self) -> None:
        """Copy to the part's end.

        Raises:
            PyMongoError, Fenced, PoisonEvent: what is committed stays; another run goes on.
        """
        with prepared_ahead(self._chunks(), waiting=self._go_on) as chunks:
            for chunk in chunks:
                self._go_on()
                self._commit(chunk)
        self._go_on()
        self._endpoint.save({"done": True})

    def _chunks(self) -> Generator[Chunk, None, None]:
        part = self._endpoint.position
        filters = ({**self._query, **chosen} for chosen in part.span.filters(part.last))
        with closing(_blocks(self._source, filters)) as read:
            source = map(self._shaped, read)
            if part.fresh:
                yield from into_an_empty_copy(source)
                return
            there = beyond_brackets(part.span).filters(part.last)
            with closing(_blocks(self._copy, there)) as copy:
                left = map(split_documents, source)
                right = map(self._endpoint.as_source, map(split_documents, copy))
                yield from against_a_copy(left, right, self._missing if part.sweeps else None)

    def _shaped(self, data: bytes) -> bytes:
        return data if self._shape is None else b"".join(map(self._shape, split_documents(data)))

    def _missing(self, keys: Sequence[bytes]) -> list[bytes]:
        """Ask again: a server whose order of keys is not ours puts both sides out of step."""
        missing: list[bytes] = []
        for start in range(0, len(keys), IDS_PER_QUERY):
            asked = keys[start : start + IDS_PER_QUERY]
            chosen = {"_id": {"$in": [RawBSONDocument(key, RAW)["_id"] for key in asked]}}
            found = self._source.find({**self._query, **chosen}, {"_id": 1})
            there = {order_key(id_of(bytes(document.raw))) for document in found}
            missing += [key for key in asked if order_key(id_of(key)) not in there]
        return missing

    def _commit(self, chunk: Chunk) -> None:
        part = self._endpoint.position
        copied = part.copied + chunk.read
        fields: dict[str, Any] = {
            "copied": copied,
            "rate": self._rate.after(copied),
            "moved_at": datetime.now(UTC),
        }
        if chunk.last is not None:
            fields["last"] = Binary(chunk.last)
        self._endpoint.fill(chunk.new, chunk.writes, fields)
        count_copied(self._flow, part.collection, chunk.read)


class _Rate:
    """Documents per second over the last seconds."""

    def __init__(self, copied: int) -> None:
        self._seen = deque([(time.monotonic(), copied)])

    def after(self, copied: int) -> float:
        now = time.monotonic()
        self._seen.append((now, copied))
        while now - self._seen[0][0] > _RATE_WINDOW and len(self._seen) > 2:
            self._seen.popleft()
        began, before = self._seen[0]
        return (copied - before) / (now - began) if now > began else 0.0


def _blocks(
    collection: Collection[RawBSONDocument], filters: Iterator[dict[str, Any]]
) -> Generator[bytes, None, None]:
    # Whole batches of bytes: a Python object for each document would cost more than all the rest.
    for chosen in filters:
        with collection.find_raw_batches(chosen, batch_size=_DOCUMENTS_PER_READ).sort(
            "_id", 1
        ) as cursor:
            for batch in cursor:
                if batch:
                    yield cast("bytes", batch)
