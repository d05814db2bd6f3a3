"""The flows that should run, as one look at their rows finds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from replication.errors import InvalidConfiguration
from replication.models import Flow, StreamFailure
from replication.spec import StreamId, StreamSpec


@dataclass(frozen=True)
class Roster:
    """Enabled flows by id, and the streams that stand still until somebody resumes them."""

    flows: Mapping[UUID, Flow]
    failed: frozenset[StreamId]

    @classmethod
    def read(cls, name: str | None = None) -> "Roster":
        """Look at the rows of all flows, or of one.

        Raises:
            DatabaseError: they cannot be read.
        """
        flows = Flow.objects.filter(enabled=True).select_related("source", "destination")
        failures = StreamFailure.objects.filter(flow__enabled=True)
        if name is not None:
            flows, failures = flows.filter(name=name), failures.filter(flow__name=name)
        return cls(
            {flow.id: flow for flow in flows},
            frozenset(StreamId(*row) for row in failures.values_list("flow_id", "collection")),
        )

    def runnable(self, stream: StreamId) -> bool:
        """Whether a stream should have somebody who works on it."""
        flow = self.flows.get(stream.flow_id)
        return (
            flow is not None and flow.scope.matches(stream.collection) and stream not in self.failed
        )

    def spec(self, stream: StreamId) -> StreamSpec | None:
        """Return what a worker needs to know of a stream, None if nobody should work on it.

        Raises:
            InvalidConfiguration: the flow cannot work as it is.
        """
        return (
            self.flows[stream.flow_id].stream(stream.collection) if self.runnable(stream) else None
        )

    def changed(self, stream: StreamId, spec: StreamSpec) -> bool:
        """Whether a stream should no longer be worked on as ``spec`` says."""
        try:
            return self.spec(stream) != spec
        except InvalidConfiguration:
            return True
