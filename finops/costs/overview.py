"""The overview: what the month so far costs, against the month before, by service over time."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from finops.costs.metrics import Metric
from finops.costs.periods import Period
from finops.models import Dataset

Grain = Literal["day", "month"]
LARGEST_SERVICES = 7
OTHER_COLOUR = LARGEST_SERVICES


class NoCostData(Exception):
    """There is no cost to show: the message says for which data set."""


class UnknownCurrency(NoCostData):
    """The data set has no charge in the currency that was asked for."""


@dataclass(frozen=True, slots=True)
class MetricTotal:
    """One metric, month to date, in the overview's currency."""

    metric: Metric
    current: Decimal
    previous: Decimal | None  # None where the data has nothing before the current period
    change: Decimal | None  # (current - previous) / previous; None if previous is None or 0
    missing_rows: int  # rows of the current period in which the metric is null: not in the sum


@dataclass(frozen=True, slots=True)
class Bucket:
    """One step of the time axis: the days from ``start`` up to, and without, ``end``."""

    label: str
    start: date
    end: date


@dataclass(frozen=True, slots=True)
class Series:
    """One service's cost per bucket."""

    name: str | None  # None: the rows without a service
    values: tuple[Decimal, ...]
    other: bool = False  # True for the last one where it sums the services beyond the largest


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One line of the table by service, for the chosen metric."""

    service: str | None
    colour: int  # the index of its series; OTHER_COLOUR for those that the chart sums as Other
    current: Decimal
    previous: Decimal | None
    change: Decimal | None
    total: Decimal  # over all buckets
    share: Decimal | None  # of all services' total; None where that is not positive
    trend: tuple[Decimal, ...]  # per bucket


@dataclass(frozen=True, slots=True)
class Overview:
    """One currency of one data set. All amounts are exact and in ``currency``."""

    dataset: str
    version: int
    currency: str
    currencies: tuple[str, ...]  # those with rows, most rows first
    metric: Metric
    anchor: date  # the latest charge day of the data set, in any currency
    current: Period
    previous: Period
    totals: tuple[MetricTotal, ...]  # one per metric
    grain: Grain
    buckets: tuple[Bucket, ...]
    series: tuple[Series, ...]  # largest total first, at most LARGEST_SERVICES and Other
    services: tuple[ServiceRow, ...]  # largest total first, as the series
    rows: int  # of this currency, of all days
    built_at: datetime  # when the newest segment was published


def load_overview(*, dataset: Dataset, currency: str | None, metric: Metric) -> Overview:
    """The overview of ``dataset`` in ``currency``, or in the one with the most rows.

    Raises NoCostData when the data set has no charges, and UnknownCurrency when it has none in
    ``currency``.
    """
    raise NoCostData(f"Data set {dataset.name!r} has no charges yet.")
