"""Cost documents as a replicated copy holds them, in memory."""

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from bson.decimal128 import Decimal128

from finops.costs.periods import DAY, Period
from finops.models import Dataset
from finops.segments.builder import SegmentBuilder
from finops.segments.schema import configured_schema
from finops.segments.store import SegmentStore
from tests.finops.oracle import Row

DECIMALS = {
    "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "ConsumedQuantity",
    "PricingQuantity", "ListUnitPrice", "ContractedUnitPrice",
}  # fmt: skip
TIMES = {"ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd"}
SERVICES = ["Compute", "Disks", "Blob", "SQL", "Bandwidth", "Functions", "Monitor", "DNS", "Other"]


def document(identifier: int | str, row: Row) -> dict[str, Any]:
    """A row of text cells as the importer would have stored it."""
    return {"_id": str(identifier)} | {name: _value(name, text) for name, text in row.items()}


def _value(name: str, text: str | None) -> Any:
    if text is None:
        return None
    if name in DECIMALS:
        return Decimal128(text)
    if name in TIMES:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    return json.loads(text) if name == "Tags" else text


def charge(day: date, cost: str | None = "1", **cells: str | None) -> Row:
    """A row of one day whose four costs are all ``cost``."""
    return {
        "BillingCurrency": "EUR",
        "ChargeCategory": "Usage",
        "ServiceName": "Compute",
        "ChargePeriodStart": f"{day} 00:00:00",
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost,
        "ContractedCost": cost,
    } | cells


def generated(*, start: date, days: int, rows: int, seed: int = 1) -> list[Row]:
    """Charges with gaps, nulls, negative amounts, two currencies, and up to 18 decimals."""
    made = random.Random(seed)
    found = []
    for number in range(rows):
        # The last day always has a row, so that the anchor is known.
        day = start + timedelta(days=days - 1 if number == 0 else made.randrange(days))
        found.append(
            charge(
                day,
                None,
                ChargePeriodStart=f"{day} {made.randrange(24):02}:{made.randrange(60):02}:00",
                BillingCurrency=made.choice(["EUR", "EUR", "USD"]),
                ServiceName=made.choice([*SERVICES, None]),
                SubAccountId=made.choice(["a", "b", None]),
                BilledCost=_cost(made),
                EffectiveCost=_cost(made),
                ListCost=_cost(made),
                ContractedCost=None if made.random() < 0.1 else _cost(made),
            )
        )
    return found


def _cost(made: random.Random) -> str:
    return str(Decimal(made.randrange(-(10**12), 10**13)).scaleb(-made.choice([2, 6, 11, 18])))


class MemorySource:
    """A source of documents: what ``rows`` say now."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows = list(rows)
        self.asked: list[Period] = []

    def documents(self, period: Period) -> Iterator[Mapping[str, Any]]:
        self.asked.append(period)
        found = [document(number, row) for number, row in enumerate(self.rows)]
        # Read at once, as a server's snapshot would be.
        return iter([one for one in found if one["ChargePeriodStart"].date() in period])

    def bounds(self) -> Period | None:
        days = self.days()
        return Period(min(days), max(days) + DAY) if days else None

    def days(self) -> set[date]:
        return {date.fromisoformat((row["ChargePeriodStart"] or "")[:10]) for row in self.rows}


def builder(
    dataset: Dataset, source: MemorySource, store: SegmentStore | None = None
) -> SegmentBuilder:
    return SegmentBuilder(dataset, source, store or SegmentStore(), configured_schema())


def build_all(rows: Iterable[Row], name: str = "costs") -> Dataset:
    """A data set of which every row is published."""
    dataset = Dataset.objects.create(name=name, flow=name)
    source = MemorySource(rows)
    builder(dataset, source).build(source.days())
    dataset.refresh_from_db()
    return dataset


def aware(day: date, hour: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
