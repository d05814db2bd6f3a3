"""Joins the files of a settled month into one: a page opens fourteen files, not four hundred."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.db.models import Count, Max, QuerySet
from django.db.models.functions import TruncMonth
from django.utils import timezone

from finops.models import Dataset, Segment
from finops.segments import manifest
from finops.segments.builder import write_files
from finops.segments.manifest import Draft
from finops.segments.rows import in_groups
from finops.segments.schema import CHARGE_DAY, SegmentSchema
from finops.segments.spool import RowSpool
from finops.segments.store import SegmentStore

# A month is left alone until nothing of it was published for so long.
SETTLED_AFTER = timedelta(minutes=10)
# Fewer files are not worth writing the month again.
_WORTHWHILE = 4
_ROWS_PER_PIECE = 20_000


@dataclass(frozen=True, slots=True)
class Compactor:
    """Joins files of one data set. The documents are not read, the rows stay as they are."""

    dataset: Dataset
    store: SegmentStore
    schema: SegmentSchema

    def compact(self, *, settled_after: timedelta = SETTLED_AFTER) -> date | None:
        """Join one settled month's files; returns the month, None where no month needs it.

        A day that is published meanwhile keeps its newer file.
        """
        month = self._month(settled_after)
        if month is None:
            return None
        live = list(self._live().filter(day__year=month.year, day__month=month.month))
        names = manifest.record_pair(self.dataset, live[0].day, days=len(live))
        rollup = pa.concat_tables(self._read(live, self.schema.rollup, _rollup_file))
        with RowSpool(self.schema) as rows:
            for group in in_groups(self._read(live, self.schema.rows, _rows_file)):
                rows.add(group)
            write_files(self.store, names, rows, rollup.sort_by(CHARGE_DAY), self.schema)
        manifest.publish(
            self.dataset,
            [_draft(segment, names) for segment in live],
            {segment.day: segment.version for segment in live},
        )
        return month

    def _live(self) -> QuerySet[Segment]:
        # Files of another schema are joined after a rebuild has made them anew.
        return Segment.objects.filter(
            dataset=self.dataset, rows__gt=0, schema=self.schema.fingerprint
        )

    def _month(self, settled_after: timedelta) -> date | None:
        months = (
            self._live()
            .annotate(month=TruncMonth("day"))
            .values("month")
            .annotate(files=Count("rollup_file", distinct=True), last=Max("built_at"))
            .filter(files__gte=_WORTHWHILE, last__lte=timezone.now() - settled_after)
            .order_by("-files", "month")
        )
        found = months.first()
        return None if found is None else found["month"]

    def _read(
        self, live: Sequence[Segment], schema: pa.Schema, file_of: Callable[[Segment], str]
    ) -> Iterator[pa.Table]:
        """What the files say of their live days, a piece at a time."""
        days = defaultdict(list)
        for segment in live:
            days[file_of(segment)].append(segment.day)
        for name, path in zip(days, self.store.read(list(days)), strict=True):
            wanted = pa.array(days[name], pa.date32())
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_ROWS_PER_PIECE, columns=schema.names):
                    piece = pa.Table.from_batches([batch]).select(schema.names).cast(schema)
                    yield piece.filter(pc.is_in(piece[CHARGE_DAY], wanted))


def _rows_file(segment: Segment) -> str:
    return segment.rows_file


def _rollup_file(segment: Segment) -> str:
    return segment.rollup_file


def _draft(segment: Segment, names: tuple[str, str]) -> Draft:
    return Draft(
        day=segment.day,
        rows=segment.rows,
        totals=segment.totals,
        defects=segment.defects,
        rows_file=names[0],
        rollup_file=names[1],
        schema=segment.schema,
    )
