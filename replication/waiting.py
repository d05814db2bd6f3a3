"""Which streams nobody works on."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from uuid import UUID

from replication.discovery import collections_of, listed, stored
from replication.looks import look_at_all
from replication.models import Flow
from replication.records import Records, read_records
from replication.roster import Roster
from replication.spec import StreamId


def waiting_streams(roster: Roster) -> list[StreamId]:
    """Return the streams of these flows that have no live lease, as ``seen_streams`` does."""
    return [stream for stream, live in seen_streams(roster).items() if not live]


def seen_streams(roster: Roster) -> dict[StreamId, bool]:
    """Return the runnable streams of these flows, and whether somebody works on each.

    Touches nothing, and takes 3 seconds at most where clusters answer quickly or not at all. The
    flows of a destination that does not answer are left out; while a source does not, its flows
    have the streams that are known already.
    """
    flows = roster.flows.values()
    destinations: defaultdict[str, list[UUID]] = defaultdict(list)
    for flow in flows:
        destinations[flow.destination.name].append(flow.id)
    records = look_at_all(
        {name: partial(read_records, name, ids) for name, ids in destinations.items()}
    )
    sources = {_source(flow) for flow in flows if flow.scope.has_patterns}
    there = look_at_all({source: partial(listed, *source) for source in sources})
    return {
        stream: live
        for flow in flows
        if flow.destination.name in records
        for stream, live in _streams(
            flow, records[flow.destination.name], there.get(_source(flow), [])
        )
        if roster.runnable(stream)
    }


def _source(flow: Flow) -> tuple[str, str]:
    return flow.source.name, flow.source_database


def _streams(flow: Flow, records: Records, there: Iterable[str]) -> Iterator[tuple[StreamId, bool]]:
    for name in collections_of(flow, there, stored(flow, records.positions)):
        yield StreamId(flow.id, name), records.live(flow.key_of(name))
