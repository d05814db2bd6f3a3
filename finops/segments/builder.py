"""Builds the segments of charge days from documents, so that any run may be repeated."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa

from finops.costs.periods import DAY, Period, month_start
from finops.models import Dataset, Segment
from finops.segments import manifest
from finops.segments.arrival import Gate, OpenGate
from finops.segments.documents import DocumentSource
from finops.segments.manifest import Draft
from finops.segments.months import month_file, sum_up
from finops.segments.rows import Defects, join_rollups, read_rows, roll_up, totals_by_day
from finops.segments.schema import SegmentSchema, configured_schema
from finops.segments.spool import RowSpool
from finops.segments.store import SegmentStore

# Another builder may publish first; a third time in a row, the next run is better placed.
_ATTEMPTS = 3


class DaysContested(Exception):
    """Other builders kept publishing the same days; nothing is lost, the next run builds them."""


@dataclass(frozen=True, slots=True)
class SegmentBuilder:
    """Builds segments of one data set."""

    dataset: Dataset
    source: DocumentSource
    store: SegmentStore
    schema: SegmentSchema
    gate: Gate = field(default_factory=OpenGate)

    def build(
        self, days: Iterable[date], *, progress: Callable[[int], object] | None = None
    ) -> None:
        """Publish what the documents of ``days`` say now. ``progress`` is told of days done.

        A day without documents loses its segment; one that the gate holds stays as it was. Raises
        DaysContested for days that other builders kept publishing; all other days are published by
        then.
        """
        contested: set[date] = set()
        for period in ranges(days):
            contested |= self._build_range(period)
            if progress is not None:
                progress(period.days)
        if contested:
            listed = ", ".join(map(str, sorted(contested)))
            raise DaysContested(f"Data set {self.dataset.name!r}: contested days {listed}.")

    def _build_range(self, period: Period) -> frozenset[date]:
        """Publish every day of ``period``; returns the days that stayed contested."""
        todo = frozenset(days_of(period))
        for _ in range(_ATTEMPTS):
            lost: set[date] = set()
            todo -= self.gate.hold(period)
            for part in ranges(todo):
                # Before the documents are read: what is published from now on wins over this.
                expected = manifest.versions(self.dataset, part)
                drafts = self._drafts(part)
                # Asked again: what was announced later may be in the documents that were read.
                held = self.gate.hold(part)
                free = [draft for draft in drafts if draft.day not in held]
                lost |= manifest.publish(self.dataset, free, expected)
            todo = frozenset(lost)
            if not todo:
                break
        return todo

    def _drafts(self, period: Period) -> list[Draft]:
        defects: Defects = {}
        rollups = []
        with RowSpool(self.schema) as spool:
            for rows in read_rows(self.source.documents(period), self.schema, defects):
                spool.add(rows)
                rollups.append(roll_up(rows, self.schema))
            rollup = join_rollups(rollups, self.schema)
            files = self._write(period, spool, rollup)
        return drafts(period, defects, rollup, files, self.schema)

    def _write(self, period: Period, rows: RowSpool, rollup: pa.Table) -> tuple[str, str]:
        """Write the files; returns their names, empty where there are no rows."""
        if not rows.days:
            return "", ""
        names = manifest.record_pair(self.dataset, period.start, days=rows.days)
        write_files(self.store, names, rows, rollup, self.schema)
        return names


def write_files(
    store: SegmentStore,
    names: tuple[str, str],
    rows: RowSpool,
    rollup: pa.Table,
    schema: SegmentSchema,
) -> None:
    """Write a recorded pair of files and, for several days, the sums over their month."""
    store.save(names[0], rows.finish())
    store.write(names[1], rollup)
    if rows.days > 1:
        store.write(month_file(names[1]), sum_up(rollup, schema))


def builder_for(dataset: Dataset, source: DocumentSource, gate: Gate) -> SegmentBuilder:
    """The builder as the settings have it."""
    return SegmentBuilder(dataset, source, SegmentStore(), configured_schema(), gate)


def days_to_rebuild(dataset: Dataset, source: DocumentSource) -> list[date]:
    """Every day that has documents, or has a segment and may have lost its documents."""
    days = set(Segment.objects.filter(dataset=dataset, rows__gt=0).values_list("day", flat=True))
    bounds = source.bounds()
    return sorted(days | set(() if bounds is None else days_of(bounds)))


def drafts(
    period: Period,
    defects: Defects,
    rollup: pa.Table,
    files: tuple[str, str],
    schema: SegmentSchema,
) -> list[Draft]:
    """One draft per day of ``period``; those with rows share the files."""
    totals = totals_by_day(rollup)
    counts = {
        day: sum(currency["rows"] for currency in currencies.values())
        for day, currencies in totals.items()
    }
    return [
        Draft(
            day=day,
            rows=counts.get(day, 0),
            totals=totals.get(day, {}),
            defects=dict(defects.get(day, {})),
            rows_file=files[0] if day in counts else "",
            rollup_file=files[1] if day in counts else "",
            schema=schema.fingerprint,
        )
        for day in days_of(period)
    ]


def days_of(period: Period) -> Iterator[date]:
    """Each day of a period, in order."""
    return (period.start + DAY * offset for offset in range(period.days))


def ranges(days: Iterable[date]) -> Iterator[Period]:
    """Adjacent days as one period, never across the end of a month.

    So the first load of 400 days reads the documents in 14 queries and writes 14 pairs of files.
    """
    start = end = None
    for day in sorted(set(days)):
        if start is not None and end == day and month_start(start) == month_start(day):
            end = day + DAY
            continue
        if start is not None and end is not None:
            yield Period(start, end)
        start, end = day, day + DAY
    if start is not None and end is not None:
        yield Period(start, end)
