"""Rows of the admin for the flows that tests run."""

from typing import Any

from replication.models import Connection
from replication.models import Flow as FlowRow
from tests.replication.running import Flow


def new_connection(name: str, uri: str, **fields: Any) -> Connection:
    fields.setdefault("auth_method", "connection_string")
    return Connection.objects.create(name=name, uri=uri, **fields)


def row_of(flow: Flow, uri: str) -> FlowRow:
    """The row of a flow whose two sides are on one server."""
    spec = flow.spec
    return FlowRow.objects.create(
        id=flow.id,
        name="costs",
        source=new_connection("source", uri),
        source_database=spec.source.database,
        collection="rows",
        destination=new_connection("destination", uri),
        destination_database=spec.destination.database,
        destination_collection="rows",
        partition_fields=list(spec.partition_fields),
    )
