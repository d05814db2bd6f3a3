"""The copy of everything that is there, after which the stream goes on from where it began.

The position is saved before the first document is read, so no change falls between the copy and
the stream. Documents are read by ``_id`` and committed in chunks together with the last ``_id``,
so an interrupted copy goes on where it was. A repeated copy ends with a sweep that removes what
the source no longer has.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from replication.estuary import IDS_PER_QUERY, MongoEndpoint
from replication.parts import Part
from replication.position import Phase, Position
from replication.spec import StreamSpec
from replication.streams import current_point, operation_time

log = structlog.get_logger(__name__)

_DOCUMENTS_PER_CHUNK = 1_000
_BYTES_PER_CHUNK = 8 * 1024 * 1024
_IDS_PER_SWEEP = 1_000


class Snapshot:
    """Copies one collection, resumable after every chunk.

    ``go_on`` is called between chunks; it raises when this worker should leave.
    """

    def __init__(
        self,
        source: Collection[RawBSONDocument],
        endpoint: MongoEndpoint[Position],
        spec: StreamSpec,
        *,
        go_on: Callable[[], None],
    ) -> None:
        # What the source could still lose in a failover must not become a copy.
        self._source = source.with_options(read_concern=ReadConcern("majority"))
        self._endpoint = endpoint
        self._spec = spec
        self._go_on = go_on
        self._log = log.bind(flow=spec.flow_name)

    def run(self, *, anew: bool) -> None:
        """Begin, or go on with what an earlier run began unless ``anew``, and finish.

        Afterwards the position's phase is STREAM and its token is the one from before the copy.

        Raises:
            PyMongoError, Fenced, PoisonEvent: what is committed stays; run again to go on.
        """
        parts = self._endpoint.parts
        begun = self._endpoint.position.phase is Phase.SNAPSHOT and parts.planned()
        if anew or not begun:
            self._begin()
        for part in parts.unfinished():
            self._copy(part)
        if self._endpoint.position.generation > 1:
            self._sweep()
        end = operation_time(self._source)
        self._endpoint.commit(parts.clear, {"phase": Phase.STREAM, "snapshot_end": end})
        self._log.info("snapshot_finished", copied=self._endpoint.position.snapshot_copied)

    def _begin(self) -> None:
        self._endpoint.prepare()
        start = current_point(self._source)
        position = self._endpoint.position
        # Another destination may hold what is not this flow's: only its own copy is ever swept.
        same = position.scope_hash == self._spec.scope_hash
        generation = position.generation + 1 if same else 1
        total = self._source.estimated_document_count()
        self._endpoint.commit(
            self._endpoint.parts.plan,
            {
                "phase": Phase.SNAPSHOT,
                "scope_hash": self._spec.scope_hash,
                "token": start.token,
                "cluster_time": start.cluster_time,
                "generation": generation,
                "snapshot_copied": 0,
                "snapshot_total": total,
                "snapshot_end": None,
                "position_at": None,
                "consistent_since": None,
            },
        )
        self._log.info("snapshot_began", generation=generation, total=total)

    def _copy(self, part: Part) -> None:
        for documents in _chunks(self._read(part), count=_DOCUMENTS_PER_CHUNK):
            self._go_on()
            part = replace(part, copied=part.copied + len(documents), last=(documents[-1]["_id"],))
            copied = (self._endpoint.position.snapshot_copied or 0) + len(documents)
            self._endpoint.copy(documents, part, {"snapshot_copied": copied})
        done = replace(part, done=True)
        self._endpoint.commit(lambda session: self._endpoint.parts.save(done, session), {})

    def _read(self, part: Part) -> Iterator[RawBSONDocument]:
        for chosen in part.filters():
            with self._source.find(chosen).sort("_id", 1) as cursor:
                yield from cursor

    def _sweep(self) -> None:
        """Remove the documents that the source no longer has.

        One that comes back meanwhile is in the stream, which begins before the snapshot.
        """
        removed = 0
        for keys in _chunks(self._endpoint.keys(), count=_IDS_PER_SWEEP):
            self._go_on()
            gone = list(self._missing_at_source(keys))
            if gone:
                self._endpoint.remove(gone, {})
                removed += len(gone)
        self._log.info("snapshot_swept", removed=removed)

    def _missing_at_source(self, keys: list[RawBSONDocument]) -> Iterator[RawBSONDocument]:
        for start in range(0, len(keys), IDS_PER_QUERY):
            asked = keys[start : start + IDS_PER_QUERY]
            chosen = {"_id": {"$in": [key["_id"] for key in asked]}}
            present = {bytes(found.raw) for found in self._source.find(chosen, {"_id": 1})}
            for key in asked:
                # Equal numbers of two types are one key, but not the same bytes: ask again.
                if bytes(key.raw) not in present and not self._source.find_one(
                    {"_id": key["_id"]}, {"_id": 1}
                ):
                    yield key


def _chunks(documents: Iterable[RawBSONDocument], *, count: int) -> Iterator[list[RawBSONDocument]]:
    chunk: list[RawBSONDocument] = []
    size = 0
    for document in documents:
        chunk.append(document)
        size += len(document.raw)
        if len(chunk) >= count or size >= _BYTES_PER_CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
