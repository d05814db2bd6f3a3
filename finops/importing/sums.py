"""Rows added up: how many, what they cost, and a checksum of which they are."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any

from bson.decimal128 import Decimal128

from finops.costs.metrics import Metric
from finops.importing.decimals import ExactSum

_CHECKSUM = 16  # bytes
_SPECIAL = 0x78  # bits of the last byte that are all set in infinities and NaN
# What adding up a document needs of it.
FIELDS = ("BillingCurrency", *(metric.focus_column for metric in Metric))

Totals = dict[str, dict[str, Any]]


class RowSums:
    """Some rows of one currency, added up without rounding, in any order."""

    def __init__(self) -> None:
        self.rows = 0
        self._checksum = 0
        self._sums = {metric.focus_column: ExactSum() for metric in Metric}
        self._missing = dict.fromkeys(self._sums, 0)

    def add(self, document: Mapping[str, Any]) -> None:
        """Count one document; a cost that it lacks, or that is no ``Decimal128``, is missing."""
        self.rows += 1
        identity = sha256(str(document["_id"]).encode()).digest()[:_CHECKSUM]
        self._checksum += int.from_bytes(identity, "big")
        for column, total in self._sums.items():
            cost = document.get(column)
            if type(cost) is Decimal128 and cost.bid[15] & _SPECIAL != _SPECIAL:
                total.add(cost)
            else:
                self._missing[column] += 1

    def include(self, other: "RowSums") -> None:
        """Add what another has."""
        self.rows += other.rows
        self._checksum += other._checksum
        for column, total in other._sums.items():
            self._sums[column].include(total)
            self._missing[column] += other._missing[column]

    @classmethod
    def over(cls, parts: "Iterable[RowSums]") -> "RowSums":
        """Several as one."""
        whole = cls()
        for part in parts:
            whole.include(part)
        return whole

    def sums(self) -> dict[str, Decimal]:
        """The sum of each metric, by its FOCUS column."""
        return {column: total.total() for column, total in self._sums.items()}

    def to_json(self) -> dict[str, Any]:
        """Rows, checksum, and per metric sum and missing rows; of JSON's types, money as text."""
        sums = self.sums()
        return {
            "rows": self.rows,
            "checksum": f"{self._checksum % 2 ** (8 * _CHECKSUM):0{2 * _CHECKSUM}x}",
            **{
                metric.value: {
                    "sum": plain(sums[metric.focus_column]),
                    "missing": self._missing[metric.focus_column],
                }
                for metric in Metric
            },
        }


def totals_of(documents: Iterable[Mapping[str, Any]]) -> Totals:
    """Rows, checksum and sums of documents by currency; those without one are under ``""``.

    Each document needs its ``_id`` and ``FIELDS``.
    """
    parts: dict[str, RowSums] = {}
    for document in documents:
        currency = document.get("BillingCurrency") or ""
        part = parts.get(currency)
        if part is None:
            part = parts[currency] = RowSums()
        part.add(document)
    return {currency: part.to_json() for currency, part in sorted(parts.items())}


def plain(amount: Decimal) -> str:
    """An amount without exponent and without zeros that say nothing."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
