"""What administrators ask of flows, and what workers leave for them to see."""

from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import pymongo
import structlog
from django.db import transaction
from django.db.models import F, QuerySet
from pymongo.errors import PyMongoError

from replication.claims import Claims
from replication.errors import ReplicationError, describe
from replication.models import Flow, StreamFailure
from replication.mongo import client_for
from replication.position import control_database
from replication.spec import StreamId

log = structlog.get_logger(__name__)

_LOOK = 1.5  # seconds for one cluster


def pause(flows: QuerySet[Flow]) -> int:
    """Stop flows; they keep their positions. Return how many were running."""
    return flows.filter(enabled=True).update(enabled=False)


def resume(flows: QuerySet[Flow]) -> int:
    """Let flows go on from their positions, failed collections included; return how many."""
    with transaction.atomic():
        _forget_failures(flows)
        return flows.update(enabled=True)


def snapshot_again(flows: QuerySet[Flow]) -> int:
    """Ask for a new copy of every collection, failed ones included; return how many flows."""
    with transaction.atomic():
        _forget_failures(flows)
        return flows.update(snapshots_asked=F("snapshots_asked") + 1)


def skip_to_now(flows: QuerySet[Flow]) -> int:
    """Ask to leave out every change up to now, for good; return how many flows.

    The copies are not what their sources are from then on, until a new snapshot.
    """
    with transaction.atomic():
        _forget_failures(flows)
        return flows.update(skips_asked=F("skips_asked") + 1)


def remove(flows: QuerySet[Flow]) -> int:
    """Remove flows for good; their copies stay, and any flow may write them. Return how many.

    A destination that does not answer keeps the claims: see ``manage.py flows release``.
    """
    with transaction.atomic():
        gone = list(flows.values_list("id", "destination__name"))
        Flow.objects.filter(id__in=[flow_id for flow_id, _destination in gone]).delete()
        for flow_id, destination in gone:
            transaction.on_commit(partial(_release, flow_id, destination))
    return len(gone)


def note_failure(stream: StreamId, error: str) -> None:
    """Write down why a stream stands still. Nobody works on it until its flow is resumed."""
    if Flow.objects.filter(id=stream.flow_id).exists():  # or it was removed meanwhile
        StreamFailure.objects.update_or_create(
            flow_id=stream.flow_id,
            collection=stream.collection,
            defaults={"error": error, "failed_at": datetime.now(UTC)},
        )


def _forget_failures(flows: QuerySet[Flow]) -> None:
    StreamFailure.objects.filter(flow__in=flows).delete()


def _release(flow_id: UUID, destination: str) -> None:
    try:
        with pymongo.timeout(_LOOK):
            Claims(control_database(client_for(destination))).release_flow(flow_id)
    except (PyMongoError, ReplicationError) as error:
        log.warning("claims_not_released", connection=destination, error=describe(error))
