"""The source's side of a stream: its change stream, read in batches of raw BSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from bson import Timestamp
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from replication.change_cursor import StartPoint
from replication.change_source import ChangeSource
from replication.changes import BatchLimits
from replication.collecting import Collecting
from replication.config import AuthMethod, MongoConfig, MongoPolicy
from replication.lookups import DocumentLookup
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


class MongoDBStream(Collecting):
    """One collection's changes, in order and without a gap, over failures and expired tokens.

    After an error ``read`` may be called again: what was received before is kept, and the change
    stream goes on where it was, on the same cursor where that is still alive.

    ``looked_up_until`` is the cluster time up to which the copy may be ahead of ``start``; a
    ``query`` leaves out the documents that it does not match.
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
        super().__init__(
            ChangeSource(collection, start, query),
            DocumentLookup(collection, query),
            limits=limits,
            looked_up_until=looked_up_until,
            filtered=bool(query),
        )


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
