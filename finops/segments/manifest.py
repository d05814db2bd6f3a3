"""The manifest: which files count for which charge day.

A builder notes the versions of its days, then reads the documents, then publishes. Publication
succeeds only for days that nobody published in between, so that of two builders the one that read
earlier loses and reads again. A file is recorded before it is written and counts as retired until
it is published, so that whatever a killed builder leaves behind is removed in time.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from finops.costs.periods import Period
from finops.models import Dataset, Segment, SegmentFile
from finops.segments.months import month_file
from finops.segments.store import SegmentStore

_DOOMED = datetime(1970, 1, 1, tzinfo=UTC)


class FileSwept(Exception):
    """A builder took longer than the grace: its files were removed before it published them."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a builder found for one day: ``rows`` 0 and no files where it has no documents."""

    day: date
    rows: int
    totals: Mapping[str, Any]
    defects: Mapping[str, int]
    rows_file: str
    rollup_file: str
    schema: str


def versions(dataset: Dataset, period: Period) -> dict[date, int]:
    """Each day's version now; a day that was never published is not in it."""
    days = Segment.objects.filter(dataset=dataset, day__gte=period.start, day__lt=period.end)
    return dict(days.values_list("day", "version"))


def record_pair(dataset: Dataset, first: date, *, days: int) -> tuple[str, str]:
    """Record a file of rows and one of roll-ups, to be written now; returns their names.

    Of several days the roll-up's ``month_file`` is recorded with it. Each will hold ``days``
    charge days from ``first`` on. A name never comes again, so that a copy
    of a file can never be out of date.
    """
    stem = f"{dataset.pk}/{first:%Y-%m}/{first}_{days}d_{uuid.uuid4().hex}"
    names = (f"{stem}.rows.parquet", f"{stem}.rollup.parquet")
    now = timezone.now()
    SegmentFile.objects.bulk_create(
        SegmentFile(dataset=dataset, name=name, days=days, retired_at=now)
        for name in (*names, *([month_file(names[1])] if days > 1 else []))
    )
    return names


def publish(
    dataset: Dataset, drafts: Collection[Draft], expected: Mapping[date, int]
) -> frozenset[date]:
    """Publish the days whose version is still the expected one; returns the others.

    One transaction: a page sees all of the published days or none. Raises FileSwept when a draft's
    file is no longer recorded.
    """
    with transaction.atomic():
        # One publisher at a time. (SQLite's write lock, taken with the transaction, does the same.)
        Dataset.objects.select_for_update().get(pk=dataset.pk)
        found = Segment.objects.filter(dataset=dataset, day__in=[draft.day for draft in drafts])
        current = {segment.day: segment for segment in found}
        fresh = [
            draft
            for draft in drafts
            if expected.get(draft.day, 0)
            == (current[draft.day].version if draft.day in current else 0)
        ]
        if fresh:
            _write(dataset, fresh, current)
            Dataset.objects.filter(pk=dataset.pk).update(
                version=F("version") + 1, published_at=timezone.now()
            )
    return frozenset(draft.day for draft in drafts) - {draft.day for draft in fresh}


def _write(dataset: Dataset, drafts: Collection[Draft], current: Mapping[date, Segment]) -> None:
    now = timezone.now()
    replaced = {
        name
        for draft in drafts
        if draft.day in current
        for name in (current[draft.day].rows_file, current[draft.day].rollup_file)
    } - {""}
    segments = [
        Segment(
            pk=current[draft.day].pk if draft.day in current else None,
            dataset=dataset,
            day=draft.day,
            version=current[draft.day].version + 1 if draft.day in current else 1,
            rows=draft.rows,
            totals=draft.totals,
            defects=draft.defects,
            rows_file=draft.rows_file,
            rollup_file=draft.rollup_file,
            schema=draft.schema,
            built_at=now,
        )
        for draft in drafts
    ]
    Segment.objects.bulk_create([one for one in segments if one.pk is None])
    Segment.objects.bulk_update(
        [one for one in segments if one.pk is not None],
        [
            "version",
            "rows",
            "totals",
            "defects",
            "rows_file",
            "rollup_file",
            "schema",
            "built_at",
        ],
        batch_size=100,
    )
    _retire(dataset, replaced)
    written = [draft for draft in drafts if draft.rows]
    _keep(dataset, {name for draft in written for name in (draft.rows_file, draft.rollup_file)})
    # Pages do without a month's sums that a sweep was quicker to remove.
    summed = SegmentFile.objects.filter(name__in={month_file(d.rollup_file) for d in written})
    summed.exclude(retired_at=_DOOMED).update(retired_at=None)


def _retire(dataset: Dataset, names: set[str]) -> None:
    """Retire those of ``names`` that no day refers to any more."""
    for column in ("rows_file", "rollup_file"):
        in_use = Segment.objects.filter(dataset=dataset, **{f"{column}__in": names})
        names = names - set(in_use.values_list(column, flat=True))
    names = names | {month_file(name) for name in names}
    SegmentFile.objects.filter(name__in=names).update(retired_at=timezone.now())


def _keep(dataset: Dataset, names: set[str]) -> None:
    files = SegmentFile.objects.filter(dataset=dataset, name__in=names)
    kept = files.exclude(retired_at=_DOOMED).update(retired_at=None)
    if kept != len(names):
        raise FileSwept(
            f"Data set {dataset.name!r}: {len(names) - kept} files were removed before they were"
            " published. Raise SEGMENT_GRACE above the time that building a month takes."
        )


def sweep(store: SegmentStore, *, grace: timedelta) -> int:
    """Delete files that were retired longer than ``grace`` ago, and forget them; how many."""
    swept = 0
    for file in SegmentFile.objects.filter(retired_at__lt=timezone.now() - grace):
        # Doomed only if nobody published it meanwhile, and from then on nobody can. The record
        # goes last, so that a sweep that is killed here is finished by the next one.
        same = SegmentFile.objects.filter(pk=file.pk, retired_at=file.retired_at)
        if same.update(retired_at=_DOOMED):
            store.delete(file.name)
            SegmentFile.objects.filter(pk=file.pk).delete()
            swept += 1
    return swept
