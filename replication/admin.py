"""Django looks for a module of this name; connections and flows have one each."""

from replication.connection_admin import ConnectionAdmin
from replication.flow_admin import FlowAdmin

__all__ = ["ConnectionAdmin", "FlowAdmin"]
