"""What a destination knows of flows: their streams' positions and leases."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from replication.lease import Leases, LeaseState
from replication.mongo import client_for
from replication.position import POSITIONS, Position, control_database


@dataclass(frozen=True)
class Records:
    """Positions and leases by the keys of their streams."""

    positions: Mapping[str, Position] = field(default_factory=dict)
    leases: Mapping[str, LeaseState] = field(default_factory=dict)

    def live(self, key: str) -> bool:
        """Whether somebody works on a stream now."""
        return key in self.leases and self.leases[key].live


def read_records(connection: str, flow_ids: Collection[UUID]) -> Records:
    """Read what a destination knows of these flows.

    Raises:
        PyMongoError, ReplicationError: it cannot be asked.
    """
    control = control_database(client_for(connection))
    found = control[POSITIONS].find({"flow": {"$in": [str(each) for each in flow_ids]}})
    return Records(
        {document["_id"]: Position.from_document(document) for document in found},
        Leases.seen_in(control).of_flows(flow_ids),
    )
