"""What one stream copies: the values that a worker needs, taken from a flow's row."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from replication.filters import parse_filter
from replication.rules import FieldRule

# Holds the flows' positions, leases and marks in each destination cluster.
CONTROL_DATABASE = "replication"


@dataclass(frozen=True)
class Namespace:
    """A collection: the name of its connection, its database and its name there."""

    connection: str
    database: str
    collection: str

    def __str__(self) -> str:
        return f"{self.connection}/{self.database}.{self.collection}"


@dataclass(frozen=True)
class StreamId:
    """A stream by what is known of it everywhere: its flow and the collection in the source."""

    flow_id: UUID
    collection: str


def stream_key(flow_id: UUID, source: Namespace) -> str:
    """Return the id of a stream's lease and position."""
    return f"{flow_id}/{source}"


class WriteMode(StrEnum):
    """How a copy is kept from being doubled and from going back."""

    AUTOMATIC = "automatic"  # transactions where the destination has them, else guarded
    TRANSACTIONS = "transactions"  # writes and position commit together
    GUARDED = "guarded"  # a field of each document holds the position that wrote it


@dataclass(frozen=True)
class StreamSpec:
    """One collection of a flow: the unit that has a lease and a position of its own."""

    flow_id: UUID
    flow_name: str
    source: Namespace
    destination: Namespace
    partition_fields: tuple[str, ...] = ()
    snapshot_again: bool = True  # when history is lost; otherwise the stream stops
    snapshots_asked: int = 0  # by administrators; more than the position knows: snapshot again
    skips_asked: int = 0  # the same for leaving out all changes up to now
    beyond_history: bool = False  # go on with a snapshot that will outlast the source's history
    filter: str = ""  # a query as extended JSON: only documents that match are copied
    rules: tuple[FieldRule, ...] = ()
    hash_key: bytes = field(default=b"", repr=False)
    copy_indexes: bool = False
    dead_letters: bool = True  # set aside what the destination refuses; otherwise stop
    write_mode: WriteMode = WriteMode.AUTOMATIC

    def query(self) -> dict[str, Any]:
        """Return the filter as a query document; an empty one matches everything.

        Raises:
            ValueError: the filter is none; a flow's form refuses such a one.
        """
        return parse_filter(self.filter) if self.filter else {}

    @property
    def key(self) -> str:
        """The id of the stream's lease and position."""
        return stream_key(self.flow_id, self.source)

    @property
    def scope_hash(self) -> str:
        """What a position is valid for: a token of this source, a copy in this destination."""
        return hashlib.sha256(f"{self.source}>{self.destination}".encode()).hexdigest()[:32]

    @property
    def shape_hash(self) -> str:
        """What every document of the copy went through; empty where they are the source's own."""
        if not self.filter and not self.rules:
            return ""
        digest = hashlib.sha256(self.filter.encode())
        for rule in self.rules:
            digest.update(f"\0{rule.action}\0{rule.field}".encode())
        digest.update(hashlib.sha256(self.hash_key).digest())
        return digest.hexdigest()[:32]
