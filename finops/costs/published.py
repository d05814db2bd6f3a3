"""What is published of a data set, as one snapshot, and the SQL that reads it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from django.db.models import TextField
from django.db.models.functions import Cast

from finops.costs.periods import DAY, Period
from finops.models import Dataset, Segment, SegmentFile
from finops.segments.months import month_file
from finops.segments.store import SegmentStore

Kind = Literal["rows", "rollup"]


class PublishedDay(NamedTuple):
    """One charge day that has rows."""

    day: date
    rows_by_currency: Mapping[str, int]
    rollup_file: str
    rows_file: str
    schema: str

    @property
    def rows(self) -> int:
        """How many rows the day has."""
        return sum(self.rows_by_currency.values())

    def file(self, kind: Kind) -> str:
        """The name of the file that holds this day."""
        return self.rollup_file if kind == "rollup" else self.rows_file


@dataclass(frozen=True, slots=True)
class Scan:
    """A FROM clause over segments, with its parameters."""

    sql: str
    parameters: dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Published:
    """Every day of a data set that has rows, oldest first: read in one statement."""

    dataset: Dataset
    days: tuple[PublishedDay, ...]
    sizes: Mapping[str, int]  # how many charge days each file holds; a retired one may be missing

    @property
    def span(self) -> Period | None:
        """From the first charge day to the latest; None where there is no row."""
        if not self.days:
            return None
        return Period(self.days[0].day, self.days[-1].day + DAY)

    def rows_by_currency(self) -> dict[str, int]:
        """Currencies with rows, most rows first, then by code."""
        counts: Counter[str] = Counter()
        for day in self.days:
            counts.update(day.rows_by_currency)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def rollup(
        self, period: Period, store: SegmentStore, *, monthly_before: date | None = None
    ) -> Scan:
        """The roll-up's rows of the published days of ``period``, as ``scan`` gives them.

        Raises ValueError where no day is published.
        """
        live = self.days_in(period)
        if not live:
            raise ValueError(f"No day of {period} is published.")
        return self.scan("rollup", live, store, monthly_before=monthly_before)

    def days_in(self, *periods: Period) -> tuple[PublishedDay, ...]:
        """The days that lie in any of ``periods``."""
        bounds = [(period.start, period.end) for period in periods]
        return tuple(
            day for day in self.days if any(start <= day.day < end for start, end in bounds)
        )

    def scan(
        self,
        kind: Kind,
        live: Sequence[PublishedDay],
        store: SegmentStore,
        *,
        monthly_before: date | None = None,
    ) -> Scan:
        """What the roll-up or the rows of these days say; at least one day.

        A file may hold days that were published again elsewhere since: of such a file only the
        days that the manifest gives to it are read. Who wants no more of a roll-up's charge days
        than their months, gives the day before which that is so as ``monthly_before``: where all
        days of a file are asked for and lie before it, they come as sums under the first of them.
        """
        in_use = Counter(day.file(kind) for day in self.days)
        wanted = Counter(day.file(kind) for day in live)
        names = list(wanted)
        partial = {name for name in names if self.sizes.get(name) != in_use[name]}
        summed: set[str] = set()
        if kind == "rollup" and monthly_before is not None:
            needed = {day.file(kind) for day in live if day.day >= monthly_before}
            summed = {
                name
                for name in set(names) - partial - needed
                # A file of an older layout has none.
                if wanted[name] == in_use[name] and month_file(name) in self.sizes
            }
        read = {name: month_file(name) if name in summed else name for name in names}
        paths = dict(zip(names, store.read(list(read.values())), strict=True))
        return _scan(
            whole=[paths[name] for name in names if name not in partial],
            partial=[(paths[d.file(kind)], d.day) for d in live if d.file(kind) in partial],
            by_name=len({day.schema for day in live}) > 1,
        )


def published(dataset: Dataset) -> Published:
    """What is published now: at least what ``dataset.version`` said when it was read."""
    days = Segment.objects.filter(dataset=dataset, rows__gt=0).order_by("day")
    # As text: hardly any day changes from one version to the next, and reading JSON takes longest.
    told = days.annotate(told=Cast("totals", TextField()))
    columns = ("day", "told", "rollup_file", "rows_file", "schema")
    found = tuple(
        PublishedDay(day, _rows_by_currency(totals), rollup, rows, schema)
        for day, totals, rollup, rows, schema in told.values_list(*columns).iterator(2_000)
    )
    # Afterwards: whatever the days name has been recorded by now.
    sizes = SegmentFile.objects.filter(dataset=dataset, retired_at=None)
    return Published(dataset, found, dict(sizes.values_list("name", "days")))


@lru_cache(maxsize=4096)
def _rows_by_currency(totals: str) -> Mapping[str, int]:
    """The rows of each currency, of a day's ``totals`` as JSON."""
    return MappingProxyType({name: part["rows"] for name, part in json.loads(totals).items()})


_WHOLE = "SELECT * FROM read_parquet($whole{options})"
_PARTIAL = """
SELECT * EXCLUDE (filename) FROM read_parquet($partial, filename = true{options})
WHERE (filename, charge_day)
   IN (SELECT unnest($live_files::VARCHAR[]), unnest($live_days::DATE[]))
"""


def _scan(*, whole: list[str], partial: list[tuple[str, date]], by_name: bool) -> Scan:
    """Files read as a whole, and files of which only the given days count."""
    options = ", union_by_name = true" if by_name else ""
    parts = []
    parameters: dict[str, list[Any]] = {}
    if whole:
        parts.append(_WHOLE.format(options=options))
        parameters["whole"] = whole
    if partial:
        parts.append(_PARTIAL.format(options=options))
        parameters["partial"] = list(dict.fromkeys(path for path, _ in partial))
        parameters["live_files"] = [path for path, _ in partial]
        parameters["live_days"] = [day for _, day in partial]
    return Scan(f"({' UNION ALL BY NAME '.join(parts)})", parameters)
