"""The source's side of a stream: its change stream, read in batches of raw BSON."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from bson import Timestamp
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from replication.change_cursor import StartPoint
from replication.change_source import Changes, ChangeSource
from replication.changes import Batch, BatchBuilder, BatchLimits, Collected
from replication.config import AuthMethod, MongoConfig, MongoPolicy
from replication.errors import ReplicationError
from replication.lookups import Ahead, DocumentLookup
from replication.mapping import DURATION, MappedConfig
from replication.mongo import Client, new_mongo_client
from replication.spec import Namespace

__all__ = [
    "RAW",
    "MongoDBStream",
    "MongoStreamConfig",
    "StartPoint",
    "current_point",
    "new_mongodb_stream",
    "operation_time",
    "raw_collection",
]

# Bytes pass as they are; where a field is looked at, any date must survive that, odd ones too.
RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    document_class=RawBSONDocument, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)


@dataclass(frozen=True)
class MongoStreamConfig(MappedConfig):
    """A source collection and how to sign in to its cluster. Times are in seconds."""

    uri: str
    database: str
    collection: str
    auth_method: str = AuthMethod.CONNECTION_STRING
    tenant_id: str = ""
    client_id: str = ""
    scopes: tuple[str, ...] = ()
    timeout: float = field(default=10.0, metadata=DURATION)
    refresh_before_expiry: float = field(default=300.0, metadata=DURATION)

    AUTH_CONFIG = {
        name: name
        for name in ("tenant_id", "client_id", "scopes", "timeout", "refresh_before_expiry")
    }

    def validate(self, policy: MongoPolicy | None = None) -> None:
        """Raise InvalidConfiguration with every problem there is."""
        names = {"connection_uri": "uri", "auth_timeout": "timeout"}
        names |= {"database": "database", "collection": "collection"}
        self.mongo_config().validate(policy, names=names)

    def mongo_config(self) -> MongoConfig:
        """Return the same as every other part of this app takes it."""
        return MongoConfig(
            connection_uri=self.uri,
            database=self.database,
            collection=self.collection,
            auth_method=self.auth_method,
            tenant_id=self.tenant_id,
            client_id=self.client_id,
            scopes=self.scopes,
            auth_timeout=self.timeout,
            refresh_before_expiry=self.refresh_before_expiry,
        )


class MongoDBStream:
    """One collection's changes, in order and without a gap, over failures and expired tokens.

    After an error ``read`` may be called again: what was received before is kept, and the change
    stream goes on where it was, on the same cursor where that is still alive.

    ``looked_up_until`` is the cluster time up to which the copy may be ahead of ``start``; a
    ``query`` leaves out the documents that it does not match. One thread may ``poll`` while another
    one calls ``take``.
    """

    def __init__(
        self,
        collection: Collection[RawBSONDocument],
        start: StartPoint,
        *,
        limits: BatchLimits | None = None,
        looked_up_until: Timestamp | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> None:
        self.limits = limits or BatchLimits()
        self._source = ChangeSource(collection, start, query)
        self._lookup = DocumentLookup(collection, query)
        self._lock = threading.Lock()
        self._ahead = Ahead(looked_up_until)
        self._builder = BatchBuilder(self._ahead, look_up=bool(query))
        self._changes: Changes | None = None  # until all of their events are collected
        self._caught_up_at: float | None = None
        self._taken: Collected | None = None  # until its look-ups have succeeded
        self._end: ReplicationError | None = None

    @property
    def events(self) -> int:
        """How many events have been collected."""
        return self._builder.events

    @property
    def size(self) -> int:
        """How many bytes of documents have been collected."""
        return self._builder.size

    @property
    def full(self) -> bool:
        """Whether a batch has as much as it should."""
        return self._builder.writes >= self.limits.writes or self._builder.size >= self.limits.size

    @property
    def caught_up(self) -> bool:
        """Whether the source had nothing more when it was last asked."""
        return self._caught_up_at is not None

    def read(self) -> Batch:
        """Return the next batch: when it is full or old, or when the source has nothing more.

        Raises:
            PyMongoError: as the driver raises it; sort it with ``errors.sort_failure``.
            HistoryLost: the collection was dropped or renamed.
        """
        while not (self.full or self.caught_up or self._builder.age >= self.limits.age):
            self.poll()
        return self.take()

    def poll(self) -> None:
        """Ask the source once, for a quarter of a second at most, and collect what it sends.

        What is left of its last answer is collected first. Raises as ``read`` does.
        """
        if self._end is not None:
            raise self._end
        if self._changes is None:
            with self._lock:
                self._ahead.asked()
            self._changes = self._source.ask()
        with self._lock:
            self._collect(self._changes)

    def take(self) -> Batch:
        """Return what has been collected, with all documents that had to be looked up.

        Raises:
            PyMongoError: a look-up failed; the next call tries it again.
        """
        with self._lock:
            if self._taken is None:
                self._taken = self._builder.take(self._source.token, self._caught_up_at)
                self._caught_up_at = None
            taken = self._taken
            self._ahead.begin(taken.missing)
        if taken.missing:
            found = self._lookup.find(taken.missing)
            with self._lock:
                self._ahead.end(taken.missing, found.until)
            taken.fill(found)
        self._taken = None
        return taken.batch()

    def look_up(self, keys: Iterable[bytes]) -> None:
        """Let the next batch write these documents as the source has them then."""
        with self._lock:
            self._builder.ask_for(keys)

    def close(self) -> None:
        """Close the cursor. A later ``poll`` would open a new one at the same place."""
        self._source.close()

    def _collect(self, changes: Changes) -> None:
        builder = self._builder
        try:
            for event in changes.events:
                builder.add(event, changes.time, slim=changes.slim)
                if self.full:
                    return
        except ReplicationError as error:
            self._end = error
            raise
        finally:
            self._ahead.passed(builder.time)
        self._changes = None
        self._caught_up_at = changes.asked_at if changes.caught_up else None
        if changes.caught_up:
            self._ahead.caught_up()


def current_point(collection: Collection[RawBSONDocument]) -> StartPoint:
    """Return the point that the source has reached: all later changes come after it."""
    source = ChangeSource(collection, StartPoint())
    try:
        source.open()
        if source.token is None:
            source.ask()
    finally:
        source.close()
    return StartPoint(source.token, None if source.token else operation_time(collection))


def operation_time(collection: Collection[RawBSONDocument]) -> Timestamp | None:
    """Return the source's cluster time now, or None where the server does not tell."""
    client = collection.database.client
    with client.start_session() as session:
        client.admin.command("ping", session=session)
        return session.operation_time


def raw_collection(client: Client, namespace: Namespace) -> Collection[RawBSONDocument]:
    """Return a collection whose documents stay the bytes that the server sent."""
    collection = client[namespace.database].get_collection(namespace.collection, codec_options=RAW)
    return cast("Collection[RawBSONDocument]", collection)


def new_mongodb_stream(config: MongoStreamConfig, start: StartPoint) -> MongoDBStream:
    """Return a stream over a client of its own.

    Raises:
        InvalidConfiguration: every problem of the configuration at once.
    """
    config.validate()
    client = new_mongo_client(config.mongo_config())
    return MongoDBStream(
        raw_collection(client, Namespace("", config.database, config.collection)), start
    )
