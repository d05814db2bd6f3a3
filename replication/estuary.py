"""The destination's side of a stream: batches and snapshot chunks become one transaction each."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import CollectionInvalid, OperationFailure

from replication.blocks import Blocks
from replication.changes import Batch
from replication.config import AuthMethod, MongoConfig, MongoPolicy
from replication.dead_letters import StreamLetters
from replication.delivery import Delivery, Piece
from replication.errors import PoisonEvent, TooMuchAtOnce, WritesRefused, describe
from replication.guard import Guarantee
from replication.keys import key_document
from replication.mapping import MappedConfig
from replication.marks import Marks, TouchedPartitions
from replication.mongo import Client
from replication.position import Moved, control_database
from replication.spec import StreamSpec
from replication.statements import PlainWriter, Writer, Writes
from replication.streams import RAW, raw_collection
from replication.throttle import LookupPace, StatementPace
from replication.transactions import Commits, Work

log = structlog.get_logger(__name__)

_NAMESPACE_EXISTS = 48


@dataclass(frozen=True)
class WaterFlowsConfig(MappedConfig):
    """A destination collection and how to sign in to its cluster."""

    mongo_uri: str
    mongo_database_name: str
    mongo_collection_name: str
    mongo_auth_method: str = AuthMethod.CONNECTION_STRING
    mongo_tenant_id: str = ""
    mongo_client_id: str = ""
    mongo_scopes: tuple[str, ...] = ()

    AUTH_CONFIG = {name: f"mongo_{name}" for name in ("tenant_id", "client_id", "scopes")}

    def validate(self, policy: MongoPolicy | None = None) -> None:
        """Raise InvalidConfiguration with every problem there is."""
        names = {
            "connection_uri": "mongo_uri",
            "database": "mongo_database_name",
            "collection": "mongo_collection_name",
        }
        names |= {
            name: f"mongo_{name}" for name in ("auth_method", "tenant_id", "client_id", "scopes")
        }
        self.mongo_config().validate(policy, names=names)

    def mongo_config(self) -> MongoConfig:
        """Return the same as every other part of this app takes it."""
        return MongoConfig(
            connection_uri=self.mongo_uri,
            database=self.mongo_database_name,
            collection=self.mongo_collection_name,
            auth_method=self.mongo_auth_method,
            tenant_id=self.mongo_tenant_id,
            client_id=self.mongo_client_id,
            scopes=self.mongo_scopes,
        )


class MongoEndpoint(Generic[Moved]):
    """Writes one stream's copy. Every commit moves the position and appends marks with it.

    Beside its owner's there is one for each part of a snapshot, which is a position of its own.
    """

    guarantee = Guarantee.EXACTLY_ONCE
    _alive: Mapping[str, Any] = {}  # finds what counts as a document of the copy

    def __init__(self, client: Client, spec: StreamSpec, transactions: Commits[Moved]) -> None:
        control = control_database(client)
        self._client = client
        self._spec = spec
        self.copy = raw_collection(client, spec.destination)
        self._marks = Marks(control)
        self._transactions = transactions
        self._letters = StreamLetters(control, spec.flow_id, spec.key)
        self._delivery = Delivery(transactions, self._deliver, dead_letters=spec.dead_letters)
        self._has_unique_index: bool | None = None
        self._pace = StatementPace()
        self._lookups = LookupPace()
        self._letters_may_retry = False

    @property
    def position(self) -> Moved:
        """The last committed position."""
        return self._transactions.position

    def save(self, fields: Mapping[str, Any]) -> None:
        """Move the position without a write."""
        self._transactions.save(fields)

    def commit(self, work: Work, fields: Mapping[str, Any]) -> None:
        """Do ``work`` and move the position in one transaction."""
        self._transactions.run(work, fields)

    def prepare(self) -> None:
        """Create the collections, which not every server does inside a transaction."""
        self._marks.ensure_index()
        self._letters.look_again()
        database = self._client[self._spec.destination.database]
        try:
            database.create_collection(self._spec.destination.collection)
        except (CollectionInvalid, OperationFailure) as error:
            if not isinstance(error, CollectionInvalid) and error.code != _NAMESPACE_EXISTS:
                raise

    def apply(self, batch: Batch, fields: Mapping[str, Any], *, may_wait: bool = False) -> None:
        """Commit a batch of changes with the position's new ``fields``.

        A document that the destination refuses for good becomes a dead letter, if the flow has
        those. ``may_wait`` says that there are later changes to deliver the batch with.

        Raises:
            TooEarly: with ``may_wait`` only: apply the batch again, joined with the next one.
            PoisonEvent: the destination refuses documents.
            Fenced, PyMongoError: as FencedTransactions raises them.
        """
        self._letters.prepare()
        self._letters_may_retry = batch.caught_up_at is None
        self._delivery.deliver(batch.writes, fields, may_wait=may_wait)

    def know_letters(self) -> None:
        """Learn which dead letters there are, for good writes to remove. Not in a transaction."""
        self._letters.prepare()

    def keys_to_retry(self) -> list[bytes]:
        """Return the keys of dead letters to try again, for a batch with their documents."""
        return self._letters.to_retry()

    def write(self, writes: Writes, session: ClientSession | None) -> None:
        """Write documents by key, None for a deletion, and their marks, in an open transaction."""
        self._write(writes, session, fresh=False)

    def repair(self, writes: Writes, session: ClientSession | None) -> None:
        """Write as ``write`` does what may have dead letters, which go; see ``know_letters``."""
        self._write(writes, session, fresh=False)
        self._letters.update({}, writes, frozenset(), session, retry=False)

    def insert(self, documents: Sequence[bytes], session: ClientSession | None) -> None:
        """Insert documents that the copy lacks, and their marks, in an open transaction."""
        touched = TouchedPartitions(self._spec.partition_fields)
        if self._spec.partition_fields:
            touched.add(documents)
        self._append_marks(touched, session)
        writer = self._writer()
        if isinstance(documents, Blocks) and isinstance(writer, PlainWriter):
            writer.insert_blocks(documents, session)
        else:
            writer.insert(((b"", document) for document in documents), session)

    def fill(self, new: Sequence[bytes], writes: Writes, fields: Mapping[str, Any]) -> None:
        """Commit documents of a snapshot: ``new`` ones, which the copy should lack, and others.

        Raises as ``apply`` does, without TooEarly.
        """

        def work(session: ClientSession | None) -> None:
            # First what goes: a unique value may move from it to a new document.
            self.write(writes, session)
            self.insert(new, session)

        self._letters.prepare()
        if not self._letters.known:
            try:
                self._transactions.run(work, fields)
                return
            except (PoisonEvent, TooMuchAtOnce) as error:
                # Not as new as they should be, or one is refused: now with a look at each.
                log.info("chunk_overwrites", documents=len(new), error=describe(error))
        # What is in a document's way may go with another part, or with the changes that follow.
        self._letters_may_retry = True
        every = {**writes, **{key_document(document): document for document in new}}
        self._delivery.deliver(every, fields, may_wait=False)

    def as_source(self, documents: Sequence[bytes]) -> Sequence[bytes]:
        """Return documents of the copy as the source would have them."""
        return documents

    def _deliver(self, piece: Piece, session: ClientSession | None) -> None:
        accepted = piece.accepted
        self._write(accepted, session, fresh=piece.fresh)
        gone = frozenset(key for key in piece.refused if piece.writes[key] is None)
        retry = self._letters_may_retry
        self._letters.update(piece.refused, accepted, gone, session, retry=retry)

    def _write(self, writes: Writes, session: ClientSession | None, *, fresh: bool) -> None:
        touched = self._touched_by(writes, session)
        self._append_marks(touched, session)
        try:
            self._writer().write(writes, session, fresh=fresh)
        except WritesRefused as error:
            if any(each.by_unique_index for each in error.refused.values()):
                self._has_unique_index = None  # it may be new
            raise

    def _append_marks(self, touched: TouchedPartitions, session: ClientSession | None) -> None:
        self._marks.append(touched, flow_id=str(self._spec.flow_id), session=session)

    def _writer(self) -> Writer:
        if self._has_unique_index is None:
            self._has_unique_index = has_unique_index(self.copy)
        return PlainWriter(self.copy, ordered=self._has_unique_index, pace=self._pace)

    def _touched_by(self, writes: Writes, session: ClientSession | None) -> TouchedPartitions:
        """Return the partitions of the documents as they are now and as they will be."""
        fields = self._spec.partition_fields
        touched = TouchedPartitions(fields)
        if fields:
            touched.add(document for document in writes.values() if document is not None)
            ids = [RawBSONDocument(key, RAW)["_id"] for key in writes]
            found = self._find(ids, session, dict.fromkeys(fields, 1))
            touched.add(bytes(each.raw) for each in found)
        return touched

    def _find(
        self,
        ids: Sequence[Any],
        session: ClientSession | None,
        projection: dict[str, Any] | None = None,
    ) -> Iterator[RawBSONDocument]:
        start = 0
        while start < len(ids):
            chosen = list(ids[start : start + self._lookups.keys])
            began = time.monotonic()
            yield from self.copy.find(
                {"_id": {"$in": chosen}, **self._alive},
                projection,
                batch_size=len(chosen) + 1,
                session=session,
            )
            self._lookups.note(len(chosen), time.monotonic() - began)
            start += len(chosen)


def has_unique_index(collection: Collection[RawBSONDocument]) -> bool:
    """Whether a collection has a unique index beside that of ``_id``."""
    return any(index.get("unique") for index in collection.list_indexes())
