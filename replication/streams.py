"""The source's side of a stream: its change stream, read in batches of raw BSON."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import bson
from bson import Timestamp
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from pymongo.change_stream import CollectionChangeStream
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from replication.changes import Batch, BatchBuilder, BatchLimits
from replication.config import AuthMethod, MongoConfig, MongoPolicy
from replication.mapping import DURATION, MappedConfig
from replication.mongo import Client, new_mongo_client
from replication.spec import Namespace

# Bytes pass as they are; where a field is looked at, any date must survive that, odd ones too.
RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    document_class=RawBSONDocument, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
# How long the source holds an unanswered poll: the age of a lone change when it is applied, and
# how quickly a stop is noticed.
_POLL_MILLISECONDS = 250
_EVENTS_PER_MESSAGE = 1_000


@dataclass(frozen=True)
class StartPoint:
    """Where a change stream begins: after a token, else at a cluster time."""

    token: Mapping[str, Any] | None = None
    cluster_time: Timestamp | None = None


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
    """

    def __init__(
        self,
        collection: Collection[RawBSONDocument],
        start: StartPoint,
        *,
        limits: BatchLimits | None = None,
    ) -> None:
        self._collection = collection
        self._start = start
        self._batch = BatchBuilder(limits or BatchLimits())
        self._stream: CollectionChangeStream[RawBSONDocument] | None = None

    def read(self) -> Batch:
        """Return the next batch: when it is full, or when the source has nothing more.

        Raises:
            PyMongoError: as the driver raises it; sort it with ``errors.sort_failure``.
            HistoryLost: the collection was dropped or renamed.
        """
        caught_up_at = None
        while not self._batch.full:
            asked_at = time.time()
            change = self._next()
            if change is None:
                caught_up_at = asked_at
                break
            self._batch.add(change)
        return self._batch.take(_decoded(self._start.token), caught_up_at=caught_up_at)

    def close(self) -> None:
        """Close the cursor. A later ``read`` would open a new one at the same place."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _next(self) -> RawBSONDocument | None:
        stream = self._opened()
        try:
            change = stream.try_next()
        except PyMongoError:
            # A closed change stream would answer None for ever, as if nothing came.
            if not stream.alive:
                self._stream = None
            raise
        self._start = StartPoint(stream.resume_token or self._start.token)
        if change is None and not stream.alive:
            self._stream = None
        return change

    def _opened(self) -> CollectionChangeStream[RawBSONDocument]:
        if self._stream is None:
            self._stream = open_change_stream(self._collection, self._start)
        return self._stream


def open_change_stream(
    collection: Collection[RawBSONDocument], start: StartPoint
) -> CollectionChangeStream[RawBSONDocument]:
    """Open the one kind of change stream that this app uses."""
    return collection.watch(
        full_document="updateLookup",
        # Unlike resume_after it can also go on behind an invalidation.
        start_after=start.token,
        start_at_operation_time=None if start.token else start.cluster_time,
        max_await_time_ms=_POLL_MILLISECONDS,
        batch_size=_EVENTS_PER_MESSAGE,
    )


def current_point(collection: Collection[RawBSONDocument]) -> StartPoint:
    """Return the point that the source has reached: all later changes come after it."""
    with open_change_stream(collection, StartPoint()) as stream:
        token = stream.resume_token
        if token is None:
            stream.try_next()
            token = stream.resume_token
    return StartPoint(_decoded(token), None if token else operation_time(collection))


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


def _decoded(token: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return bson.decode(token.raw) if isinstance(token, RawBSONDocument) else token
