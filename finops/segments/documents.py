"""The destination's documents, by charge day."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Protocol

from bson.decimal128 import Decimal128

from finops.costs.metrics import Metric
from finops.costs.periods import DAY, Period
from finops.importing.sums import FIELDS, RowSums, Totals, totals_of
from finops.models import Dataset
from finops.segments.values import amount, charge_day
from replication import status
from replication.mongo import database
from replication.status import TOMBSTONE_FIELD, Namespace

CHARGE_PERIOD_START = "ChargePeriodStart"
BILLING_PERIOD_START = "BillingPeriodStart"
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


class DocumentSource(Protocol):
    """Where segments are built from."""

    def documents(self, period: Period) -> Iterable[Mapping[str, Any]]:
        """The documents whose charge day lies in ``period``, in any order."""
        ...

    def bounds(self) -> Period | None:
        """From the first to the last charge day; None where there is no document."""
        ...


def destination_of(dataset: Dataset) -> "DestinationDocuments":
    """The documents of ``dataset``, days made quick to find.

    Raises:
        UnknownFlow, SeveralCollections: replication's; the data set's flow cannot be read from.
    """
    source = DestinationDocuments(status.destination_of(dataset.flow))
    source.ensure_index()
    return source


def prepare_copy(flow: str, destination: Namespace) -> None:
    """Index the copy that a flow is about to fill, if a data set reads it.

    Replication calls it (``REPLICATION_PREPARE_COPY``). May raise what the driver raises.
    """
    if Dataset.objects.filter(flow=flow).exists():
        documents = DestinationDocuments(destination)
        documents.ensure_index()
        documents.ensure_month_index()


class DestinationDocuments:
    """The documents of one collection of the destination cluster."""

    def __init__(self, namespace: Namespace) -> None:
        self._collection = database(namespace.connection, namespace.database)[namespace.collection]

    def ensure_index(self) -> None:
        """Make days quick to find; does nothing where the index exists."""
        self._collection.create_index(CHARGE_PERIOD_START)

    def documents(self, period: Period) -> Iterator[Mapping[str, Any]]:
        """The documents whose charge day lies in ``period``, in the order of the index."""
        # One flat range: the sandbox's server plans nothing else onto the index.
        bounds = {"$gte": _midnight(period.start), "$lt": _midnight(period.end)}
        with self._collection.find({CHARGE_PERIOD_START: bounds}, batch_size=5_000) as cursor:
            yield from cursor

    def bounds(self) -> Period | None:
        """From the first to the last charge day; None where no document has one."""
        first, last = self._edge(1), self._edge(-1)
        return None if first is None or last is None else Period(first, last + DAY)

    def month_rows(self, billing_account: str | None, billing_period: date) -> int:
        """How many rows of a billing account's month there are."""
        count: int = self._collection.count_documents(_month(billing_account, billing_period))
        return count

    def month_totals(self, billing_account: str | None, billing_period: date) -> Totals:
        """Rows, checksum and sums by currency of a billing account's month."""
        month = _month(billing_account, billing_period)
        wanted = dict.fromkeys(("_id", *FIELDS), 1)
        with self._collection.find(month, wanted, batch_size=5_000) as cursor:
            return totals_of(cursor)

    def every_sum(self) -> dict[tuple[datetime | None, str], RowSums]:
        """All documents added up, by billing period and currency. Reads each of them."""
        wanted = dict.fromkeys(("_id", BILLING_PERIOD_START, *FIELDS), 1)
        sums: dict[tuple[datetime | None, str], RowSums] = {}
        # In a guarded copy a deleted document leaves something behind for a while.
        there = {TOMBSTONE_FIELD: None}
        with self._collection.find(there, wanted, batch_size=5_000) as cursor:
            for document in cursor:
                period = document.get(BILLING_PERIOD_START)
                key = (
                    period if isinstance(period, datetime) else None,
                    document.get("BillingCurrency") or "",
                )
                part = sums.get(key)
                if part is None:
                    part = sums[key] = RowSums()
                part.add(_exact(document))
        return sums

    def ensure_month_index(self) -> None:
        """Make a billing account's month quick to find; does nothing where the index exists."""
        self._collection.create_index([("BillingAccountId", 1), (BILLING_PERIOD_START, 1)])

    def _edge(self, direction: int) -> date | None:
        # Dates alone: other types sort apart from them, and a document without one is in no day.
        dated = {CHARGE_PERIOD_START: {"$gte": _EARLIEST}}
        found = self._collection.find_one(
            dated, {CHARGE_PERIOD_START: 1}, sort=[(CHARGE_PERIOD_START, direction)]
        )
        return None if found is None else charge_day(found[CHARGE_PERIOD_START])


def _month(billing_account: str | None, billing_period: date) -> dict[str, Any]:
    return {
        "BillingAccountId": billing_account,
        BILLING_PERIOD_START: _midnight(billing_period),
    }


def _exact(document: dict[str, Any]) -> dict[str, Any]:
    """Costs that somebody wrote as other numbers, or as text, as the segments take them."""
    for metric in Metric:
        cost = document.get(metric.focus_column)
        if cost is not None and type(cost) is not Decimal128:
            number, _ = amount(cost)
            document[metric.focus_column] = None if number is None else Decimal128(number)
    return document


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
