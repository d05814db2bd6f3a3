"""The four cost metrics of FOCUS."""

from enum import StrEnum


class Metric(StrEnum):
    """Which of a charge's costs is meant. The value is what URLs carry."""

    BILLED = "billed"
    EFFECTIVE = "effective"
    LIST = "list"
    CONTRACTED = "contracted"

    @property
    def label(self) -> str:
        """What people read, e.g. ``Billed cost``."""
        return f"{self.value.capitalize()} cost"

    @property
    def column(self) -> str:
        """The metric's column in the segments, e.g. ``billed_cost``: safe to put into SQL."""
        return f"{self.value}_cost"

    @property
    def focus_column(self) -> str:
        """The metric's column in FOCUS, e.g. ``BilledCost``."""
        return f"{self.value.capitalize()}Cost"

    @property
    def missing_column(self) -> str:
        """The roll-up's column that counts the rows in which the metric is null."""
        return f"{self.column}_missing"
