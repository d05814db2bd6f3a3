"""Rows for the explorer's tests, and what they add up to by its dimensions.

The sums are the oracle's kind: the csv module, ``json`` and ``Decimal``, and no code of the
product. They are taken for all metrics in one pass, so that hundreds of questions stay quick.
"""

import json
import random
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

from tests.finops.cost_documents import charge
from tests.finops.oracle import EXACT, METRICS, Row

START = date(2026, 8, 20)
DAYS = 60
PROVIDER = ("ProviderName", "ServiceProviderName")
# Metric -> (currency, charge day, value) -> sum
Sums = dict[str, dict[tuple[str, str, str | None], Decimal]]


def every_column(columns: Iterable[str], rows: int, seed: int = 5) -> list[Row]:
    """Rows in which each of ``columns`` has a few values, empty texts and nulls, and tags too."""
    made = random.Random(seed)
    columns = list(columns)
    # A few hundred kinds of row: what real data is like, where columns go together.
    kinds = [{name: _text(name, made) for name in columns} for _ in range(300)]
    return [
        charge(
            day := START + timedelta(days=DAYS - 1 if number == 0 else made.randrange(DAYS)),
            None,
            **made.choice(kinds),
            **{name: _cost(made) for name in METRICS},
            ChargePeriodStart=f"{day} {made.randrange(24):02}:{made.randrange(60):02}:59",
            BillingPeriodStart=f"{made.choice([day.replace(day=1), date(2026, 11, 1)])} 00:00:00",
            BillingCurrency=made.choice(["EUR", "EUR", "USD", None]),
            Tags=_tags(made),
        )
        for number in range(rows)
    ]


def _text(name: str, made: random.Random) -> str | None:
    return made.choice([f"{name} {made.randrange(5)}", "Ünï ‘code’", "", None])


def _cost(made: random.Random) -> str | None:
    if made.random() < 0.05:
        return None
    return str(Decimal(made.randrange(-(10**12), 10**13)).scaleb(-made.choice([2, 6, 11, 18])))


def _tags(made: random.Random) -> str | None:
    tags: dict[str, str | bool | None] = {}
    for key in ("environment", " org", "org", "Owner", "x'; DROP"):
        if made.random() < 0.5:
            tags[key] = made.choice(["prod", "", True, None, "ünï"])
    return json.dumps(tags) if tags or made.random() < 0.5 else None


class Prepared:
    """Rows whose costs were read once."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = [
            (
                row,
                row["BillingCurrency"] or "XXX",
                (row["ChargePeriodStart"] or "")[:10],
                [Decimal(row[metric] or 0) for metric in METRICS],
            )
            for row in rows
        ]

    def sums(self, dimension: str) -> Sums:
        """By currency (XXX: none), charge day and value of a FOCUS column or of ``tag:KEY``."""
        found: dict[tuple[str, str, str | None], list[Decimal]] = {}
        for row, currency, day, costs in self._rows:
            key = (currency, day, value(row, dimension))
            before = found.get(key)
            found[key] = costs if before is None else list(map(EXACT.add, before, costs))
        return {
            metric: {key: costs[number] for key, costs in found.items()}
            for number, metric in enumerate(METRICS)
        }


def value(row: Row, dimension: str) -> str | None:
    """A row's value; None where it has none, or an empty one."""
    if dimension == "BillingPeriodStart":
        return (row["BillingPeriodStart"] or "")[:7] or None
    if dimension in PROVIDER and row.get(dimension) is None:
        # FOCUS 1.4 calls the same company by the second name.
        return row.get(PROVIDER[0]) or row.get(PROVIDER[1]) or None
    if not dimension.startswith("tag:"):
        return row.get(dimension) or None
    tag = json.loads(row["Tags"] or "{}").get(dimension.removeprefix("tag:"))
    return "true" if tag is True else tag or None
