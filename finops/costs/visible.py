"""The rows of a data set that a scope shows: their days, their currencies, and the SQL for them."""

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any

from accounts.scopes import Scope
from finops.costs.engine import Engine
from finops.costs.metrics import Metric
from finops.costs.periods import DAY, Period
from finops.costs.published import Published
from finops.costs.units import US_DOLLARS_BY_AZURE
from finops.segments.rows import NO_CURRENCY


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition for a WHERE clause over segments, with its parameters."""

    sql: str
    parameters: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class VisibleRows:
    """What there is within a scope. ``by_currency`` has the number of rows, most rows first."""

    span: Period
    by_currency: dict[str, int]


_CACHED = 256
_cache: OrderedDict[tuple[object, ...], VisibleRows | None] = OrderedDict()
_lock = threading.Lock()


def filter_of(scope: Scope) -> Filter:
    """The condition that holds for rows within ``scope``; rows without a sub account have none."""
    if scope.sub_accounts is None:
        return Filter("true", {})
    return Filter(
        "sub_account_id IN (SELECT unnest($sub_accounts::VARCHAR[]))",
        {"sub_accounts": sorted(scope.sub_accounts)},
    )


def visible(manifest: Published, scope: Scope, engine: Engine) -> VisibleRows | None:
    """What ``scope`` shows of what is published; None where that is no row.

    For all rows the manifest knows; for fewer the roll-up is asked, once a version of the data
    set. Raises CostQueryFailed.
    """
    if manifest.span is None or scope.is_nothing:
        return None
    if scope.is_all:
        return VisibleRows(manifest.span, manifest.rows_by_currency())
    dataset = manifest.dataset
    key = (dataset.pk, dataset.version, dataset.published_at, scope)
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
            return _cache[key]
    found = _ask(manifest, manifest.span, scope, engine)
    with _lock:
        _cache[key] = found
        while len(_cache) > _CACHED:
            _cache.popitem(last=False)
    return found


def has_us_dollars(manifest: Published, scope: Scope, period: Period, engine: Engine) -> bool:
    """Whether a row of ``period`` within ``scope`` carries Azure's amounts in US dollars.

    Raises CostQueryFailed.
    """
    column = US_DOLLARS_BY_AZURE.column(Metric.BILLED)
    scan, within = manifest.rollup(period, engine.store), filter_of(scope)
    found = engine.fetch(
        f"""
        SELECT count({column}) FROM {scan.sql}
        WHERE charge_day >= $start AND charge_day < $end AND {within.sql}
        """,  # noqa: S608 - from the constants above
        {**scan.parameters, **within.parameters, "start": period.start, "end": period.end},
    )
    return bool(found[0][0])


def _ask(manifest: Published, span: Period, scope: Scope, engine: Engine) -> VisibleRows | None:
    scan, within = manifest.rollup(span, engine.store), filter_of(scope)
    parameters: dict[str, Any] = {**scan.parameters, **within.parameters}
    found = engine.fetch(
        f"""
        SELECT coalesce(nullif(billing_currency, ''), $no_currency), sum("rows"),
               min(charge_day), max(charge_day)
        FROM {scan.sql}
        WHERE {within.sql}
        GROUP BY 1
        """,  # noqa: S608 - from the constants above
        {**parameters, "no_currency": NO_CURRENCY},
    )
    if not found:
        return None
    counts: Counter[str] = Counter({currency: int(rows) for currency, rows, *_ in found})
    return VisibleRows(
        Period(min(first for *_, first, _ in found), max(last for *_, last in found) + DAY),
        dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
    )
