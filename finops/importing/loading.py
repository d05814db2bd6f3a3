"""Writing documents to a source collection: what is new goes in, what is gone goes out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from finops.importing.errors import LoadingError

_DELETED_AT_ONCE = 1_000
_INDEX = "import_partition"


class Collection(Protocol):
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

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        # Of each partition reached, the ids that it held and that no row has had so far.
        self._unseen: dict[Partition, set[str]] = {}

    def prepare(self) -> None:
        """Create the index by which partitions are found, unless it is there."""
        with _failures("creating its index"):
            self._collection.create_index(
                [("BillingAccountId", 1), ("BillingPeriodStart", 1)], name=_INDEX
            )

    def write(self, documents: Sequence[dict[str, Any]]) -> Written:
        """Insert those of the documents, each with an ``_id`` of its own, that are not there."""
        new = []
        for document in documents:
            unseen = self._unseen_of(Partition.of(document))
            if document["_id"] in unseen:
                unseen.remove(document["_id"])
            else:
                new.append(document)
        if new:
            with _failures("writing"):
                self._collection.insert_many(new, ordered=False)
        return Written(len(new), len(documents) - len(new))

    def remove_missing(self) -> int:
        """Delete what the written partitions held and no row has had; return how many."""
        gone = [identity for unseen in self._unseen.values() for identity in unseen]
        with _failures("removing rows that are gone"):
            for start in range(0, len(gone), _DELETED_AT_ONCE):
                part = gone[start : start + _DELETED_AT_ONCE]
                self._collection.delete_many({"_id": {"$in": part}})
        return len(gone)

    def _unseen_of(self, partition: Partition) -> set[str]:
        unseen = self._unseen.get(partition)
        if unseen is None:
            with _failures("reading which rows are there"):
                found = self._collection.find(partition.filter(), {"_id": 1})
                unseen = self._unseen[partition] = {document["_id"] for document in found}
        return unseen


@contextmanager
def _failures(doing: str) -> Iterator[None]:
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
