"""What a file of FOCUS rows adds up to, worked out a second time and as plainly as can be.

Standard library only: the csv module and Decimal. It shares no code with the product, so that the
two agree only where both are right. It reads well-formed files (the official sample, generated
ones): timestamps in UTC, tags as JSON objects.
"""

import csv
import decimal
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

METRICS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
EXACT = decimal.Context(prec=80, traps=[decimal.Inexact])

Row = dict[str, str | None]
# (currency, bucket, value of the dimension) -> sum
Groups = dict[tuple[str, str, str | None], Decimal]


@dataclass(frozen=True)
class Total:
    """A sum, and how many rows had nothing to add to it."""

    amount: Decimal
    missing: int


def rows(path: Path) -> list[Row]:
    """The file's rows; NULL and empty cells are None."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [
            {name: None if text in ("", "NULL") else text for name, text in row.items()}
            for row in csv.DictReader(file)
        ]


def total(rows: list[Row], metric: str, currency: str) -> Total:
    """The sum of a metric over the rows of one currency."""
    amount, missing = Decimal(0), 0
    for row in rows:
        if row["BillingCurrency"] == currency:
            cost = row[metric]
            if cost is None:
                missing += 1
            else:
                amount = EXACT.add(amount, Decimal(cost))
    return Total(amount, missing)


def currencies(rows: list[Row]) -> set[str]:
    return {row["BillingCurrency"] or "" for row in rows}


def by_all(_row: Row) -> str:
    return ""


def by_charge_day(row: Row) -> str:
    return (row["ChargePeriodStart"] or "")[:10]


def by_charge_month(row: Row) -> str:
    return (row["ChargePeriodStart"] or "")[:7]


def by_billing_month(row: Row) -> str:
    return (row["BillingPeriodStart"] or "")[:7]


def column(name: str) -> Callable[[Row], str | None]:
    """A dimension: the value of a column."""
    return lambda row: row.get(name)


def tag(key: str) -> Callable[[Row], str | None]:
    """A dimension: the value of a tag; None where a row lacks it."""

    def read(row: Row) -> str | None:
        tags = json.loads(row["Tags"] or "{}")
        value = tags.get(key)
        return json.dumps(value) if value is True else value

    return read


def group(
    rows: list[Row],
    metric: str,
    *,
    dimension: Callable[[Row], str | None] = by_all,
    bucket: Callable[[Row], str] = by_all,
) -> Groups:
    """Sums by currency, bucket and value; rows without the value are a group of their own."""
    sums: Groups = defaultdict(Decimal)
    for row in rows:
        key = (row["BillingCurrency"] or "", bucket(row), dimension(row))
        sums[key] = EXACT.add(sums[key], Decimal(row[metric] or 0))
    return dict(sums)
