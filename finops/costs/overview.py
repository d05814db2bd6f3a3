"""The overview: what the month so far costs, against the month before, by service over time."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from accounts.scopes import Scope
from finops.costs.buckets import Bucket, Grain, buckets_of, grain_of
from finops.costs.commitments import Commitments, glance
from finops.costs.engine import engine
from finops.costs.figures import (
    LARGEST_SERVICES,
    OTHER_COLOUR,
    MetricTotal,
    Question,
    Series,
    ServiceRow,
    answer,
)
from finops.costs.metrics import Metric
from finops.costs.movers import Mover, movers
from finops.costs.periods import Period, month_to_date, same_days_of_month_before
from finops.costs.projection import Projection, projection
from finops.costs.published import published
from finops.costs.units import CONVERTED, US_DOLLARS_BY_AZURE, Unit
from finops.costs.visible import visible
from finops.models import Dataset

__all__ = [
    "LARGEST_SERVICES",
    "OTHER_COLOUR",
    "Bucket",
    "Commitments",
    "Grain",
    "MetricTotal",
    "Mover",
    "NoCostData",
    "NoCostsInScope",
    "Overview",
    "Projection",
    "Series",
    "ServiceRow",
    "Unit",
    "UnknownCurrency",
    "load_overview",
]


class NoCostData(Exception):
    """There is no cost to show: the message says for which data set."""


class NoCostsInScope(NoCostData):
    """No row is within the scope. Whether there are rows outside it is not said."""


class UnknownCurrency(NoCostData):
    """The scope has no charge in the currency that was asked for."""


@dataclass(frozen=True, slots=True)
class Overview:
    """One currency of one data set, within a scope. All amounts are exact and in ``currency``.

    Nothing in it depends on a row outside the scope.
    """

    dataset: str
    version: int
    unit: Unit  # its currency is XXX for the rows that name none
    currencies: tuple[str, ...]  # those with rows, most rows first
    convertible: bool  # whether Azure's amounts in US dollars are an additional choice
    metric: Metric
    anchor: date  # the latest charge day within the scope, in any currency
    current: Period
    previous: Period
    totals: tuple[MetricTotal, ...]  # one per metric
    grain: Grain
    buckets: tuple[Bucket, ...]
    series: tuple[Series, ...]  # largest total first, at most LARGEST_SERVICES and Other
    services: tuple[ServiceRow, ...]  # largest total first, as the series
    projection: Projection | None  # of the chosen metric
    movers: tuple[Mover, ...]
    commitments: Commitments | None
    rows: int  # of this currency, of all days
    built_at: datetime  # when the data set was last published

    @property
    def currency(self) -> str:
        """What amounts are written in."""
        return self.unit.currency


_CACHED = 64
_cache: OrderedDict[tuple[object, ...], Overview] = OrderedDict()
_lock = threading.Lock()


def load_overview(
    *, dataset: Dataset, scope: Scope, currency: str | None, metric: Metric
) -> Overview:
    """The overview of the rows of ``dataset`` within ``scope``.

    It is in ``currency``, which may be ``units.CONVERTED``, or in the one with the most rows. Kept
    in the process until the data set has a new version. Raises NoCostData when the data set has no
    charges, NoCostsInScope when none is within a scope that is not all, UnknownCurrency when none
    is in ``currency``, and CostQueryFailed.
    """
    key = (dataset.pk, dataset.version, dataset.published_at, scope, currency, metric)
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
            return _cache[key]
    overview = _load(dataset, scope, currency, metric)
    with _lock:
        _cache[key] = overview
        while len(_cache) > _CACHED:
            _cache.popitem(last=False)
    return overview


def _load(dataset: Dataset, scope: Scope, currency: str | None, metric: Metric) -> Overview:
    manifest = published(dataset)
    rows = visible(manifest, scope, engine())
    if rows is None or dataset.published_at is None:
        if not scope.is_all:
            raise NoCostsInScope(f"Data set {dataset.name!r} has no charges within the scope.")
        raise NoCostData(f"Data set {dataset.name!r} has no charges yet.")
    span, currencies = rows.span, rows.by_currency
    anchor = span.last
    current, previous = month_to_date(anchor), same_days_of_month_before(anchor)
    unit = _unit(currency, currencies)
    question = Question(
        scope=scope,
        unit=unit,
        metric=metric,
        grain=grain_of(span),
        buckets=buckets_of(span),
        current=current,
        previous=previous if span.start < current.start else None,
    )
    glimpse = glance(question, manifest, engine())
    convertible = glimpse.us_dollars and set(currencies) != {"USD"}
    if not (convertible if unit.converted else unit.currency in currencies):
        known = ", ".join(sorted(currencies))
        raise UnknownCurrency(
            f"Data set {dataset.name!r} has no charge in that currency; you see: {known}."
        )
    figures = answer(question, manifest, engine())
    to_date = next(total.current for total in figures.totals if total.metric is metric)
    return Overview(
        dataset=dataset.name,
        version=dataset.version,
        unit=unit,
        currencies=tuple(currencies),
        convertible=convertible,
        metric=metric,
        anchor=anchor,
        current=current,
        previous=previous,
        totals=figures.totals,
        grain=question.grain,
        buckets=question.buckets,
        series=figures.series,
        services=figures.services,
        projection=projection(to_date, anchor, figures.month_before),
        movers=movers(question, manifest, engine()),
        commitments=glimpse.commitments,
        rows=sum(currencies.values()) if unit.converted else currencies[unit.currency],
        built_at=dataset.published_at,
    )


def _unit(currency: str | None, currencies: Iterable[str]) -> Unit:
    """What was asked for, which the rows may not have; without a wish, what most rows are in."""
    if currency is None:
        return Unit(next(iter(currencies)))
    return US_DOLLARS_BY_AZURE if currency == CONVERTED else Unit(currency)
