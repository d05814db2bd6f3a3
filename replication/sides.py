"""The two sides of a flow, read as documents that should be equal.

Of the source that is what its copy should hold: the documents that the filter takes, shaped by the
rules. Of a guarded copy it is its documents without the extra field and without tombstones.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from replication.errors import FailureKind, describe, sort_failure
from replication.guard import Guarantee, unguarded
from replication.keys import OrderKey, id_of, key_document, order_key, split_documents
from replication.lookups import IDS_PER_QUERY
from replication.rules import shaper
from replication.spans import Span
from replication.spec import StreamSpec
from replication.streams import RAW

log = structlog.get_logger(__name__)

DOCUMENTS_PER_RANGE = 1_000
_TRIES = 6

Plain = Callable[[Iterable[bytes]], Iterable[bytes]]


def _as_they_are(documents: Iterable[bytes]) -> Iterable[bytes]:
    return documents


@dataclass(frozen=True)
class Side:
    """A collection, those of its documents that count, and what of them both sides should have."""

    collection: Collection[RawBSONDocument]
    query: Mapping[str, Any] = field(default_factory=dict)
    plain: Plain = _as_they_are

    def batches(self) -> Iterator[list[bytes]]:
        """Yield every document in order of ``_id``, over failures that pass by themselves.

        Raises:
            PyMongoError: the server does not answer.
        """
        last: bytes | None = None
        failures = 0
        while True:
            try:
                for chosen in Span().filters(last):
                    for documents in self._read({**self.query, **chosen}):
                        yield list(self.plain(documents))
                        failures = 0
                        last = key_document(documents[-1])
                return
            except PyMongoError as error:
                failures += 1
                if failures >= _TRIES or sort_failure(error) is not FailureKind.TRANSIENT:
                    raise
                log.warning("reading_again", attempt=failures, error=describe(error))
                time.sleep(min(0.1 * 2**failures, 3.0))

    def sample(self, size: int) -> set[bytes]:
        """Return the keys of ``size`` documents that the server chooses at random."""
        stages: list[dict[str, Any]] = [{"$match": dict(self.query)}] if self.query else []
        stages += [{"$sample": {"size": size}}, {"$project": {"_id": 1}}]
        chosen = self.collection.aggregate(stages)
        return {key_document(bytes(document.raw)) for document in chosen}

    def read(
        self, keys: Sequence[bytes], session: ClientSession | None = None
    ) -> dict[OrderKey, bytes]:
        """Return the documents of these keys that are there, by the order key of their ``_id``."""
        found: dict[OrderKey, bytes] = {}
        for start in range(0, len(keys), IDS_PER_QUERY):
            ids = [RawBSONDocument(key, RAW)["_id"] for key in keys[start : start + IDS_PER_QUERY]]
            chosen = {"_id": {"$in": ids}, **self.query}
            documents = self.collection.find(chosen, session=session)
            for document in self.plain(bytes(each.raw) for each in documents):
                found[order_key(id_of(document))] = document
        return found

    def _read(self, chosen: Mapping[str, Any]) -> Iterator[list[bytes]]:
        # Whole batches of bytes: a Python object for each document would cost more than all the
        # rest.
        with self.collection.find_raw_batches(chosen, batch_size=DOCUMENTS_PER_RANGE).sort(
            "_id", 1
        ) as cursor:
            for batch in cursor:
                documents = split_documents(cast("bytes", batch))
                if documents:
                    yield documents


def sides(
    spec: StreamSpec,
    source: Collection[RawBSONDocument],
    copy: Collection[RawBSONDocument],
    guarantee: str,
) -> tuple[Side, Side]:
    """Return the source and the copy; ``guarantee`` is that of the flow's position."""
    guarded = guarantee == Guarantee.GUARDED
    shape = shaper(spec)

    def wanted(documents: Iterable[bytes]) -> Iterable[bytes]:
        shaped = documents if shape is None else map(shape, documents)
        return unguarded(shaped) if guarded else shaped

    return (
        Side(source, spec.query(), wanted),
        Side(copy, plain=unguarded if guarded else _as_they_are),
    )
