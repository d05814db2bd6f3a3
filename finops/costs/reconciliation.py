"""What the segments hold by billing month and currency."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from accounts.scopes import ALL
from finops.costs.engine import Engine
from finops.costs.metrics import Metric
from finops.costs.published import Published
from finops.costs.visible import filter_of
from finops.segments.rows import NO_CURRENCY


@dataclass(frozen=True, slots=True)
class Held:
    """Rows, and the exact sum of each metric over them."""

    rows: int
    sums: Mapping[Metric, Decimal]


# (first day of the billing month, currency); None for rows without a billing period.
Key = tuple[date | None, str]


def by_billing_month(manifest: Published, engine: Engine) -> dict[Key, Held]:
    """Everything that is published, within every scope. Raises CostQueryFailed."""
    if manifest.span is None:
        return {}
    scan, within = manifest.rollup(manifest.span, engine.store), filter_of(ALL)
    sums = ", ".join(f"coalesce(sum({metric.column}), 0)" for metric in Metric)
    found = engine.fetch(
        f"""
        SELECT epoch_ms(billing_period_start),
               coalesce(nullif(billing_currency, ''), $no_currency), sum("rows"), {sums}
        FROM {scan.sql}
        WHERE {within.sql}
        GROUP BY 1, 2
        """,  # noqa: S608 - from the constants above
        {**scan.parameters, **within.parameters, "no_currency": NO_CURRENCY},
    )
    held: dict[Key, Held] = {}
    for moment, currency, rows, *amounts in found:
        key = (_month(moment), currency)
        before = held.get(key, Held(0, dict.fromkeys(Metric, Decimal(0))))
        held[key] = Held(
            before.rows + int(rows),
            {m: before.sums[m] + amount for m, amount in zip(Metric, amounts, strict=True)},
        )
    return held


def _month(milliseconds: int | None) -> date | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date().replace(day=1)
