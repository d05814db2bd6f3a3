"""The destination's side of a stream: batches and snapshot chunks become one transaction each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.errors import CollectionInvalid, OperationFailure

from replication.changes import Batch
from replication.config import AuthMethod, MongoConfig, MongoPolicy
from replication.mapping import MappedConfig
from replication.marks import Marks, TouchedPartitions
from replication.mongo import Client
from replication.position import Moved, control_database
from replication.spec import StreamSpec
from replication.streams import RAW, raw_collection
from replication.transactions import FencedTransactions, sliced

# SecantusDB's time for {$in: …} grows with the square of its length.
IDS_PER_QUERY = 100


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

    def __init__(
        self, client: Client, spec: StreamSpec, transactions: FencedTransactions[Moved]
    ) -> None:
        self._client = client
        self._spec = spec
        self._copy = raw_collection(client, spec.destination)
        self._marks = Marks(control_database(client))
        self._transactions = transactions

    @property
    def position(self) -> Moved:
        """The last committed position."""
        return self._transactions.position

    def save(self, fields: Mapping[str, Any]) -> None:
        """Move the position without a write."""
        self._transactions.save(fields)

    def commit(self, work: Callable[[ClientSession], None], fields: Mapping[str, Any]) -> None:
        """Do ``work`` and move the position in one transaction."""
        self._transactions.run(work, fields)

    def prepare(self) -> None:
        """Create the collections, which not every server does inside a transaction."""
        self._marks.ensure_index()
        database = self._client[self._spec.destination.database]
        try:
            database.create_collection(self._spec.destination.collection)
        except (CollectionInvalid, OperationFailure) as error:
            if not isinstance(error, CollectionInvalid) and error.code != 48:  # NamespaceExists
                raise

    def apply(self, batch: Batch, fields: Mapping[str, Any]) -> None:
        """Commit a batch of changes with the position's new ``fields``."""
        self._transactions.run(lambda session: self.write(batch.writes, session), fields)

    def write(self, writes: Mapping[bytes, bytes | None], session: ClientSession) -> None:
        """Write documents by key, None for a deletion, and their marks, in an open transaction."""
        touched = self._touched_by(writes, session)
        self._write(writes, session)
        self._marks.append(touched, flow_id=str(self._spec.flow_id), session=session)

    def insert(self, documents: Sequence[bytes], session: ClientSession) -> None:
        """Insert documents that the copy lacks, and their marks, in an open transaction."""
        touched = TouchedPartitions(self._spec.partition_fields)
        if self._spec.partition_fields:
            for document in documents:
                touched.add(RawBSONDocument(document, RAW))
        statements = sliced((len(document), RawBSONDocument(document)) for document in documents)
        for statement in statements:
            self._command({"insert": self._copy.name, "documents": statement}, session)
        self._marks.append(touched, flow_id=str(self._spec.flow_id), session=session)

    def _touched_by(
        self, writes: Mapping[bytes, bytes | None], session: ClientSession
    ) -> TouchedPartitions:
        """Return the partitions of the documents as they are now and as they will be."""
        fields = self._spec.partition_fields
        touched = TouchedPartitions(fields)
        if fields:
            for document in writes.values():
                if document is not None:
                    touched.add(RawBSONDocument(document, RAW))
            ids = [RawBSONDocument(key, RAW)["_id"] for key in writes]
            for found in self._find(ids, session, dict.fromkeys(fields, 1)):
                touched.add(found)
        return touched

    def _find(
        self, ids: Sequence[Any], session: ClientSession, projection: dict[str, Any] | None = None
    ) -> Iterator[RawBSONDocument]:
        for start in range(0, len(ids), IDS_PER_QUERY):
            chosen = {"_id": {"$in": list(ids[start : start + IDS_PER_QUERY])}}
            yield from self._copy.find(chosen, projection, session=session)

    def _write(self, writes: Mapping[bytes, bytes | None], session: ClientSession) -> None:
        """Send deletes first: a unique value may move from a deleted document to another one."""
        deletes = (
            (len(key), {"q": RawBSONDocument(key), "limit": 1})
            for key, document in writes.items()
            if document is None
        )
        updates = (
            (
                len(key) + len(document),
                {"q": RawBSONDocument(key), "u": RawBSONDocument(document), "upsert": True},
            )
            for key, document in writes.items()
            if document is not None
        )
        for statement in sliced(deletes):
            self._command({"delete": self._copy.name, "deletes": statement}, session)
        for statement in sliced(updates):
            self._command({"update": self._copy.name, "updates": statement}, session)

    def _command(self, command: dict[str, Any], session: ClientSession) -> None:
        reply = self._copy.database.command(
            {**command, "ordered": False}, session=session, codec_options=RAW
        )
        failed = reply.get("writeErrors")
        if failed:
            # The driver does not raise for these, and a commit would end in 251 for ever. The
            # message may quote the document: only the code is kept.
            raise OperationFailure("a write was refused", bson.decode(failed[0].raw)["code"])
