"""What Celery runs for the cost pages."""

from datetime import timedelta

import structlog
from celery import shared_task
from django.conf import settings

from finops.models import Dataset
from finops.reconciliation import Verdict, reconcile
from finops.segments.arrival import (
    ImportGate,
    learn_of_imports,
    settle,
    waiting_for_imports,
)
from finops.segments.builder import DaysContested, builder_for
from finops.segments.compaction import Compactor
from finops.segments.documents import destination_of
from finops.segments.manifest import sweep
from finops.segments.schema import configured_schema
from finops.segments.store import SegmentStore
from finops.segments.touched import FlowMarks, build_released, build_touched, rest, resting
from replication.status import flow_status, source_of

log = structlog.get_logger(__name__)

# A run that goes on for longer leaves the rest to the next one, so that each data set has its turn.
_BUDGET = timedelta(seconds=20)


@shared_task
def build_touched_segments() -> None:
    """Rebuild the touched days of every data set; one that fails does not stop the others."""
    for dataset in Dataset.objects.all():
        if resting(dataset):
            continue
        try:
            _build(dataset)
        except DaysContested as contested:
            # The marks are still there, and so is the next run.
            log.info("segments.contested", dataset=dataset.name, reason=str(contested))
        except Exception:
            log.exception("segments.build_failed", dataset=dataset.name, flow=dataset.flow)
            rest(dataset)


@shared_task
def tidy_segments() -> None:
    """Join the files of settled months, one a run and data set, and delete what was replaced."""
    store = SegmentStore()
    for dataset in Dataset.objects.all():
        _learn(dataset)
        try:
            month = Compactor(dataset, store, configured_schema()).compact()
        except Exception:
            log.exception("segments.compaction_failed", dataset=dataset.name)
        else:
            if month is not None:
                log.info("segments.compacted", dataset=dataset.name, month=f"{month:%Y-%m}")
    sweep(store, grace=settings.SEGMENT_GRACE)


@shared_task
def reconcile_datasets() -> None:
    """Compare documents, segments and manifests, for the data page."""
    for dataset in Dataset.objects.all():
        try:
            lines = reconcile(dataset, destination_of(dataset))
        except Exception:
            log.exception("reconciliation.failed", dataset=dataset.name, flow=dataset.flow)
            continue
        differing = [str(line.month) for line in lines if line.verdict is Verdict.DIFFERS]
        if differing:
            log.error("reconciliation.differs", dataset=dataset.name, months=differing)


def _learn(dataset: Dataset) -> None:
    """An import that changed nothing left no marks: its place in the history is learned here."""
    try:
        learn_of_imports(dataset, source_of(dataset.flow))
    except Exception:
        log.exception("segments.imports_unknown", dataset=dataset.name, flow=dataset.flow)


def _build(dataset: Dataset) -> None:
    marks = FlowMarks(dataset.flow)
    if not marks.read() and not waiting_for_imports(dataset):
        return
    status = flow_status(dataset.flow)
    if status.copying:
        # Each part of a snapshot touches nearly every day, and none of them is whole before the
        # last part. The marks wait, and the pages go on showing what they had.
        return
    source = destination_of(dataset)
    learn_of_imports(dataset, status.source)
    settle(dataset, status, source)
    gate = ImportGate(dataset, status.source)
    builder = builder_for(dataset, source, gate)
    days = build_released(gate, builder) + build_touched(marks, builder, budget=_BUDGET)
    if days:
        log.info("segments.built", dataset=dataset.name, days=days)
