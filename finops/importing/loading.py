"""Writing documents to a source collection: what is new goes in, what is gone goes out."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple, Protocol

from finops.importing.errors import LoadingError
from finops.importing.sums import FIELDS, RowSums, Totals, totals_of

_DELETED_AT_ONCE = 1_000
_INDEX = "import_partition"


class DocumentCollection(Protocol):
    """What the loader needs of a collection; a driver's collection has it."""

    def find(
        self, filter: Mapping[str, Any], projection: Mapping[str, Any]
    ) -> Iterable[Mapping[str, Any]]:
        """The matching documents."""
        ...

    def insert_many(self, documents: Sequence[dict[str, Any]], ordered: bool = True) -> object:
        """Write documents that are not there yet."""
        ...

    def delete_many(self, filter: Mapping[str, Any]) -> object:
        """Remove the matching documents."""
        ...

    def create_index(self, keys: Sequence[tuple[str, int]], *, name: str) -> object:
        """Create an index unless it is there."""
        ...


class Partition(NamedTuple):
    """What one delivery of a provider replaces as a whole."""

    billing_account: str | None
    billing_period: datetime

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Partition":
        """The partition that a document belongs to."""
        return cls(document.get("BillingAccountId"), document["BillingPeriodStart"])

    def filter(self) -> dict[str, Any]:
        """Matches the partition's documents; flat, which every server plans by index."""
        return {
            "BillingAccountId": self.billing_account,
            "BillingPeriodStart": self.billing_period,
        }


class Announcer(Protocol):
    """Who is told of changes to a partition before they are made."""

    def begin(self, partition: Partition, days: Collection[date]) -> None:
        """Rows of these charge days are about to change."""
        ...

    def complete(self, partition: Partition, totals: Totals, days: Collection[date]) -> None:
        """The partition is as it should be, and holds this."""
        ...


@dataclass
class _Held:
    """A partition that the import has reached."""

    unseen: set[str]  # the ids that it held and that no row has had so far
    days: set[date]  # the charge days of what it held and of what the files say
    sums: dict[str, RowSums] = field(default_factory=dict)  # of the files' rows, by currency


@dataclass(frozen=True)
class Written:
    """What became of a batch."""

    inserted: int
    unchanged: int


class Loader:
    """Writes one import's documents. Every method may raise ``LoadingError``.

    The ids that a partition holds are read once, when the import reaches it. That tells what is
    new, what is unchanged and, in the end, what is gone, at the price of about 200 bytes for each
    document that the partitions held; an unchanged month costs its ids on the wire instead of all
    its documents sent and refused one by one. Two imports of the same rows at the same time make
    one of them fail, and to import again is all that it needs.
    """

    def __init__(self, collection: DocumentCollection, announcer: Announcer | None = None) -> None:
        self._collection = collection
        self._announcer = announcer
        self._held: dict[Partition, _Held] = {}

    def prepare(self) -> None:
        """Create the index by which partitions are found, unless it is there."""
        with failures("creating its index"):
            self._collection.create_index(
                [("BillingAccountId", 1), ("BillingPeriodStart", 1)], name=_INDEX
            )

    def write(self, documents: Sequence[dict[str, Any]]) -> Written:
        """Insert those of the documents, each with an ``_id`` of its own, that are not there."""
        new = []
        changing: dict[Partition, set[date]] = {}
        for document in documents:
            partition = Partition.of(document)
            held = self._reached(partition)
            day = document["ChargePeriodStart"].date()
            held.days.add(day)
            currency = document["BillingCurrency"]
            sums = held.sums.get(currency)
            if sums is None:
                sums = held.sums[currency] = RowSums()
            sums.add(document)
            if document["_id"] in held.unseen:
                held.unseen.remove(document["_id"])
            else:
                new.append(document)
                changing.setdefault(partition, set()).add(day)
        for partition in changing:
            self._announce(partition)
        if new:
            with failures("writing"):
                self._collection.insert_many(new, ordered=False)
        return Written(len(new), len(documents) - len(new))

    def remove_missing(self) -> int:
        """Delete what the written partitions held and no row has had; return how many."""
        gone: list[str] = []
        for partition, held in self._held.items():
            if held.unseen:
                self._announce(partition)
                gone += held.unseen
                held.unseen = set()
        with failures("removing rows that are gone"):
            for start in range(0, len(gone), _DELETED_AT_ONCE):
                part = gone[start : start + _DELETED_AT_ONCE]
                self._collection.delete_many({"_id": {"$in": part}})
        return len(gone)

    def complete(self) -> None:
        """Announce every partition as whole: what was to be written is, and what had to go went."""
        if self._announcer is not None:
            for partition, held in self._held.items():
                self._announcer.complete(partition, self._totals(partition, held), held.days)

    def sums(self) -> dict[tuple[Partition, str], RowSums]:
        """The files' rows so far, by partition and currency."""
        return {
            (partition, currency): sums
            for partition, held in self._held.items()
            for currency, sums in held.sums.items()
        }

    def _announce(self, partition: Partition) -> None:
        if self._announcer is not None:
            self._announcer.begin(partition, self._held[partition].days)

    def _totals(self, partition: Partition, held: _Held) -> Totals:
        if not held.unseen:
            return {currency: sums.to_json() for currency, sums in held.sums.items()}
        # Rows that no file has were kept: the collection alone knows them.
        with failures("adding up a month"):
            return totals_of(
                self._collection.find(partition.filter(), dict.fromkeys(("_id", *FIELDS), 1))
            )

    def _reached(self, partition: Partition) -> _Held:
        held = self._held.get(partition)
        if held is None:
            unseen, days = set(), set()
            with failures("reading which rows are there"):
                wanted = {"_id": 1, "ChargePeriodStart": 1}
                for document in self._collection.find(partition.filter(), wanted):
                    unseen.add(document["_id"])
                    start = document.get("ChargePeriodStart")
                    if isinstance(start, datetime):
                        days.add(start.date())
            held = self._held[partition] = _Held(unseen, days)
        return held


@contextmanager
def failures(doing: str) -> Iterator[None]:
    """Raise whatever the driver raises as ``LoadingError``, without its text.

    The driver's types may not be imported here, and its messages quote whole documents.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - raised again below, whatever it was
        raise LoadingError(
            f"The collection failed at {doing}: {_in_words(error)}. Nothing is lost: the rows"
            " written so far are recognised when the import runs again."
        ) from None


def _in_words(error: Exception) -> str:
    details = getattr(error, "details", None)
    refused = details.get("writeErrors", []) if isinstance(details, dict) else []
    codes = {part.get("code") for part in refused} or {getattr(error, "code", None)}
    if codes == {11000}:
        return "another import is writing the same rows at the same time"
    named = ", ".join(sorted(str(code) for code in codes if code is not None))
    return type(error).__name__ + (f" (code {named})" if named else "")
