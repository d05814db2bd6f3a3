"""Work on one part of a snapshot, by whoever has its lease: a stream's owner, or a helper."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from replication.copying import PartCopy
from replication.endpoints import part_endpoint
from replication.lease import LeaseKeeper, Leases
from replication.metrics import count_retry
from replication.mongo import Client, Purpose
from replication.parts import Parts
from replication.patience import Patience
from replication.position import control_database
from replication.slices import (
    Clients,
    Outcome,
    SliceResult,
    Timing,
    raise_if_succeeded,
    run_attempts,
    session_id,
    take_over,
)
from replication.spec import StreamSpec
from replication.streams import raw_collection

_log = structlog.get_logger(__name__)


def run_part(
    spec: StreamSpec, key: str, clients: Clients, timing: Timing, *, wanted: Callable[[], bool]
) -> SliceResult:
    """Copy a part for as long as ``wanted()`` says, if nobody else does. It never raises."""
    bound = _log.bind(flow=spec.flow_name, stream=spec.key)

    def attempt() -> SliceResult:
        worker = PartWorker.of(spec, clients, timing.lease, bound)
        copied = worker.copy(key, wanted=wanted)
        return SliceResult(Outcome.DONE if copied else Outcome.NO_LEASE)

    return run_attempts(attempt, spec, clients, log=bound)


@dataclass(frozen=True)
class PartWorker:
    """Copies parts of one stream's snapshot."""

    spec: StreamSpec
    source: Collection[RawBSONDocument]
    destination: Client
    lease_client: Client  # of the destination; its own, so that no lease waits behind data
    lease: timedelta
    log: structlog.stdlib.BoundLogger

    @classmethod
    def of(
        cls,
        spec: StreamSpec,
        clients: Clients,
        lease: timedelta,
        log: structlog.stdlib.BoundLogger,
    ) -> "PartWorker":
        """Return a worker with the connections' clients."""
        source = raw_collection(clients.get(spec.source.connection, Purpose.DATA), spec.source)
        return cls(
            spec,
            # What the source could still lose in a failover must not become a copy.
            source.with_options(read_concern=ReadConcern("majority")),
            clients.get(spec.destination.connection, Purpose.DATA),
            clients.get(spec.destination.connection, Purpose.LEASE),
            lease,
            log,
        )

    def copy(self, key: str, *, wanted: Callable[[], bool]) -> bool:
        """Copy a part to its end, if it is one of this stream and nobody else is at it.

        Raises:
            Interrupted: ``wanted()`` was false.
            LeaseLost, Fenced: another worker has the part, or its snapshot has begun anew.
            PyMongoError, PoisonEvent: what is committed stays.
        """
        parts = Parts(control_database(self.destination))
        leases = Leases(control_database(self.lease_client), lifetime=self.lease)
        found = parts.load(key)
        if found is None or found.done or not found.fits(self.spec):
            return False
        with self.destination.start_session() as session:
            grant = leases.acquire(
                key, self.spec.flow_id, session=session_id(session), seed=found.epoch
            )
            if grant is None:
                return False
            with LeaseKeeper(leases, grant) as keeper:
                retried = partial(count_retry, self.spec.flow_name, self.spec.source.collection)
                patience = Patience(keeper, wanted, log=self.log, retried=retried)
                part = take_over(self.destination, parts, grant, patience)
                if part.done:  # somebody ended it between the two looks
                    return False
                self.log.info("part_began", part=part.number, epoch=part.epoch, copied=part.copied)
                endpoint = part_endpoint(
                    self.destination,
                    self.spec,
                    session,
                    part,
                    predecessors=grant.predecessors,
                    pause=patience.pause,
                )
                try:
                    PartCopy(
                        self.source,
                        raw_collection(self.destination, self.spec.destination),
                        endpoint,
                        self.spec,
                        go_on=patience.check,
                    ).run()
                except Exception as error:
                    raise_if_succeeded(parts, part, error)
                    raise
                self.log.info("part_copied", part=part.number, copied=endpoint.position.copied)
                return True
