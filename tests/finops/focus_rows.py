"""Small FOCUS files for tests, and a collection that lives in memory."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parents[2] / "sandbox" / "data" / "focus_sample.csv"

ROW = {
    "BilledCost": "1.5",
    "BillingAccountId": "acc-1",
    "BillingAccountName": "Main",
    "BillingCurrency": "EUR",
    "BillingPeriodEnd": "2026-10-01T00:00:00Z",
    "BillingPeriodStart": "2026-09-01T00:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeClass": "",
    "ChargeDescription": "D2s v5",
    "ChargePeriodEnd": "2026-09-03T00:00:00Z",
    "ChargePeriodStart": "2026-09-02T00:00:00Z",
    "ContractedCost": "1.6",
    "EffectiveCost": "1.5",
    "InvoiceIssuerName": "Microsoft",
    "ListCost": "2",
    "PricingQuantity": "24",
    "PricingUnit": "Hours",
    "ProviderName": "Microsoft",
    "PublisherName": "Microsoft",
    "ServiceCategory": "Compute",
    "ServiceName": "Virtual Machines",
}


def row(**cells: str) -> dict[str, str]:
    return ROW | cells


def csv_text(rows: Iterable[Mapping[str, str]]) -> str:
    """The rows as CSV, with the columns of ``ROW`` and every other one that a row has."""
    rows = list(rows)
    names = list(ROW) + sorted({name for each in rows for name in each} - set(ROW))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write_csv(path: Path, rows: Iterable[Mapping[str, str]]) -> Path:
    path.write_text(csv_text(rows), encoding="utf-8")
    return path


class MemoryCollection:
    """The few things that the loader asks of a collection, with equality and ``$in`` only."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.indexes: set[str] = set()
        self.inserts = 0

    def find(
        self, filter: Mapping[str, Any], projection: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        return [
            {name: doc[name] for name in projection if name in doc}
            for doc in self.documents.values()
            if _matches(doc, filter)
        ]

    def insert_many(self, documents: Sequence[dict[str, Any]], ordered: bool = True) -> None:
        for document in documents:
            assert document["_id"] not in self.documents
            self.documents[document["_id"]] = dict(document)
        self.inserts += len(documents)

    def delete_many(self, filter: Mapping[str, Any]) -> None:
        gone = [key for key, doc in self.documents.items() if _matches(doc, filter)]
        for key in gone:
            del self.documents[key]

    def create_index(self, keys: Sequence[tuple[str, int]], *, name: str) -> None:
        self.indexes.add(name)


def _matches(document: Mapping[str, Any], filter: Mapping[str, Any]) -> bool:
    return all(
        document.get(name) in wanted["$in"]
        if isinstance(wanted, dict)
        else document.get(name) == wanted
        for name, wanted in filter.items()
    )
