"""What one stream copies: the values that a worker needs, taken from a flow's row."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

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
class StreamSpec:
    """One collection of a flow: the unit that has a lease and a position of its own."""

    flow_id: UUID
    flow_name: str
    source: Namespace
    destination: Namespace
    partition_fields: tuple[str, ...] = ()
    snapshot_again: bool = True  # when history is lost; otherwise the stream stops

    @property
    def key(self) -> str:
        """The id of the stream's lease and position."""
        return f"{self.flow_id}/{self.source}"

    @property
    def scope_hash(self) -> str:
        """What a position is valid for: a token of this source, a copy in this destination."""
        return hashlib.sha256(f"{self.source}>{self.destination}".encode()).hexdigest()[:32]
