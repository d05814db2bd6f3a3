"""In what costs are added up: one billing currency, or the US dollars that Azure states too."""

from dataclasses import dataclass

from finops.costs.metrics import Metric
from finops.segments.rows import NO_CURRENCY
from finops.segments.schema import missing

# The rows that count in a unit; needs its parameters.
IN_UNIT = "($converted OR coalesce(nullif(billing_currency, ''), $no_currency) = $currency)"
# What URLs carry for it: no currency has such a code.
CONVERTED = "usd-by-azure"


@dataclass(frozen=True, slots=True)
class Unit:
    """``currency`` (ISO 4217) is what amounts are written in.

    ``converted``: rows of every billing currency count, by Azure's columns x_BilledCostInUsd,
    x_EffectiveCostInUsd, x_ListCostInUsd and x_ContractedCostInUsd; a row without them is missing.
    Otherwise the rows of that billing currency count alone.
    """

    currency: str
    converted: bool = False

    def column(self, metric: Metric) -> str:
        """The metric's column in the segments, safe to put into SQL."""
        return f"x_{metric.column}_in_usd" if self.converted else metric.column

    @property
    def parameters(self) -> dict[str, str | bool]:
        """What ``IN_UNIT`` needs."""
        return {
            "converted": self.converted,
            "currency": self.currency,
            "no_currency": NO_CURRENCY,
        }

    def missing_column(self, metric: Metric) -> str:
        """The roll-up's column that counts the rows in which that is null."""
        return missing(self.column(metric))


US_DOLLARS_BY_AZURE = Unit("USD", converted=True)


def choice_of(unit: Unit) -> str:
    """What URLs and choosers call a unit."""
    return CONVERTED if unit.converted else unit.currency
