"""Waits, with a progress bar, until what the source holds can be read on the pages."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Sum
from tqdm import tqdm

from finops.models import Dataset, Segment
from replication.mongo import database
from replication.status import FlowState, flow_status, touched_partitions

PATIENCE = 120.0  # seconds without any progress


class Command(BaseCommand):
    """Returns when the copy is complete and every row is in a segment."""

    help = "Used by 'manage.py sandbox'."

    def handle(self, *_: object, **__: Any) -> None:
        """Watch the copy, then the segments; fail when neither moves for two minutes."""
        dataset = Dataset.objects.get()
        source = flow_status(dataset.flow).source
        rows = database(source.connection, source.database)[source.collection].count_documents({})
        format_ = "    {desc:<9} {percentage:3.0f}%|{bar:30}| {n_fmt}/{total_fmt} rows"
        with (
            tqdm(total=rows, desc="copied", bar_format=format_) as copied,
            tqdm(total=rows, desc="published", bar_format=format_) as published,
        ):
            moved = time.monotonic()
            while not _arrived(dataset, rows):
                status = flow_status(dataset.flow)
                streaming = status.state is FlowState.STREAMING
                before = copied.n + published.n
                copied.n = rows if streaming else max(copied.n, status.snapshot_copied or 0)
                published.n = _published(dataset)
                if copied.n + published.n != before:
                    moved = time.monotonic()
                    copied.refresh()
                    published.refresh()
                if time.monotonic() - moved > PATIENCE:
                    raise CommandError(
                        f"Nothing has moved for {PATIENCE:g} s: the flow is"
                        f" {status.state}, {published.n:,} of {rows:,} rows are published."
                        f" {status.error or 'It names no error.'}"
                    )
                time.sleep(0.2)
            copied.n = published.n = rows


def _published(dataset: Dataset) -> int:
    return Segment.objects.filter(dataset=dataset).aggregate(rows=Sum("rows"))["rows"] or 0


def _arrived(dataset: Dataset, rows: int) -> bool:
    """Say whether the flow streams, no touched day waits, and the segments hold every row."""
    return (
        flow_status(dataset.flow).state is FlowState.STREAMING
        and _published(dataset) == rows
        and not touched_partitions(dataset.flow, limit=1)
    )
