"""What a destination knows of flows: positions and leases of streams, and parts of snapshots."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from replication.lease import Leases, LeaseState
from replication.mongo import client_for
from replication.parts import Part, Parts
from replication.position import POSITIONS, Position, control_database


@dataclass(frozen=True)
class Records:
    """Positions, leases and parts by the keys of their streams."""

    positions: Mapping[str, Position] = field(default_factory=dict)
    leases: Mapping[str, LeaseState] = field(default_factory=dict)
    parts: Mapping[str, Sequence[Part]] = field(default_factory=dict)

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
    parts: defaultdict[str, list[Part]] = defaultdict(list)
    for part in Parts(control).of_flows(flow_ids):
        parts[part.stream].append(part)
    return Records(
        {document["_id"]: Position.from_document(document) for document in found},
        Leases.seen_in(control).of_flows(flow_ids),
        parts,
    )
