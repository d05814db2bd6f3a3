"""Whose a copy is: each collection of a destination is written by one flow only.

The forms refuse two flows that could write one collection, but they know only the flows of one
installation, and two people may save at one time. So the first stream that writes a copy claims it
in the destination, and another flow's stream stops there.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from replication.errors import InvalidConfiguration
from replication.spec import Namespace, StreamSpec

CLAIMS = "claims"


class Claims:
    """The claims in one destination's control database."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._claims = database.get_collection(CLAIMS)

    def take(self, spec: StreamSpec) -> None:
        """Claim a stream's copy, and give up what the stream wrote before its copy was renamed.

        Raises:
            InvalidConfiguration: the copy is another flow's.
        """
        copy, flow = _id_of(spec.destination), str(spec.flow_id)
        known = {"stream": spec.key, "flow_name": spec.flow_name, "at": datetime.now(UTC)}
        try:
            self._claims.update_one({"_id": copy, "flow": flow}, {"$set": known}, upsert=True)
        except DuplicateKeyError:
            holder = self._claims.find_one({"_id": copy}) or {}
            raise InvalidConfiguration([_refusal(spec, holder)]) from None
        self._claims.delete_many({"stream": spec.key, "_id": {"$ne": copy}})

    def release(self, copy: Namespace) -> bool:
        """Let any flow write a copy; return whether it was claimed."""
        return self._claims.delete_one({"_id": _id_of(copy)}).deleted_count == 1

    def release_flow(self, flow_id: UUID) -> int:
        """Give up everything that a flow has claimed; return how much that was."""
        return self._claims.delete_many({"flow": str(flow_id)}).deleted_count


def _id_of(copy: Namespace) -> str:
    return f"{copy.database}.{copy.collection}"


def _refusal(spec: StreamSpec, holder: dict[str, Any]) -> str:
    copy = spec.destination
    return (
        f"{copy} is the copy of the flow {holder.get('flow_name', 'unknown')!r}"
        f" (id {holder.get('flow', 'unknown')}), and the flow {spec.flow_name!r} would write it"
        f" too: choose another destination. If that flow is gone, 'manage.py flows release"
        f" {copy.connection} {_id_of(copy)}' lets this one have the copy."
    )
