"""What an import tells of itself: a manifest per billing account and month, and its history.

Both lie beside the rows, in the source's database, so that whoever reads a copy of the rows can ask
their origin what is whole. A manifest says ``importing`` from before the first change of its month
until after the last one, and names every charge day that the month ever touched before the rows of
that day change; then ``complete``, with rows, sums and a checksum of the rows.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from hashlib import sha256
from typing import Any

from finops.importing.errors import LoadingError
from finops.importing.loading import Partition, failures
from finops.importing.sums import Totals
from replication.mongo import database
from replication.status import Namespace

MANIFESTS = "focus_manifests"
HISTORY = "focus_imports"
_HISTORY_READ = 50  # imports
_LONGEST_ACCOUNT = 200  # characters of a billing account in an _id


class ImportState(StrEnum):
    """How far an import, or the import of a month, has come."""

    IMPORTING = "importing"  # or killed
    COMPLETE = "complete"
    FAILED = "failed"  # it said so itself


@dataclass(frozen=True)
class Manifest:
    """What the last import of one billing account's month said of it. Moments are UTC."""

    id: str
    billing_account: str | None
    billing_period: datetime
    run: str
    state: ImportState
    started_at: datetime
    completed_at: datetime | None
    totals: Totals  # by currency, of the whole month; {} until the first import has ended
    days: frozenset[date]  # every charge day that its rows have or had

    @property
    def rows(self) -> int:
        """How many rows the month has."""
        return sum(part["rows"] for part in self.totals.values())


@dataclass(frozen=True)
class ImportRecord:
    """One import in the history; ``outcome`` and ``defects`` as ``ImportSummary`` gives them."""

    run: str
    state: ImportState
    started_at: datetime
    ended_at: datetime | None
    files: list[str]
    outcome: dict[str, int]
    defects: list[dict[str, Any]]


class Journal:
    """Writes the manifests and the record of one import. May raise ``LoadingError``."""

    def __init__(self, source: Namespace) -> None:
        """``source`` is the collection that the import writes."""
        self.run = uuid.uuid4().hex
        self._collection = source.collection
        self._manifests, self._history = _collections(source)
        self._begun: dict[Partition, set[date]] = {}

    def start(self, files: Sequence[str]) -> None:
        """Put the import into the history."""
        with failures("noting the import"):
            self._history.insert_one(
                {
                    "_id": self.run,
                    "collection": self._collection,
                    "state": ImportState.IMPORTING.value,
                    "started_at": _now(),
                    "files": list(files),
                }
            )

    def begin(self, partition: Partition, days: Collection[date]) -> None:
        """Say that rows of these charge days are about to change. Costs nothing when repeated."""
        begun = self._begun.get(partition)
        if begun is not None and begun.issuperset(days):
            return
        with failures("noting a month"):
            self._manifests.update_one(
                {"_id": self._id(partition)},
                {
                    "$set": {
                        "state": ImportState.IMPORTING.value,
                        "run": self.run,
                        "started_at": _now(),
                    },
                    "$addToSet": {"days": {"$each": [_midnight(day) for day in sorted(days)]}},
                    "$setOnInsert": self._names(partition),
                },
                upsert=True,
            )
        self._begun.setdefault(partition, set()).update(days)

    def complete(self, partition: Partition, totals: Totals, days: Collection[date]) -> None:
        """Say that the month is whole, and what it holds.

        Raises LoadingError where another import has begun to change the same month meanwhile.
        """
        identity = self._id(partition)
        with failures("noting a month"):
            known = self._manifests.find_one({"_id": identity})
        changed = partition in self._begun
        if changed and (known is None or known["run"] != self.run):
            raise LoadingError(
                f"Another import of {partition.billing_period:%Y-%m} has begun meanwhile. Let it"
                " end, then run this one again if its files are the right ones."
            )
        if not changed and known is not None and _says(known, totals):
            return
        with failures("noting a month"):
            self._manifests.update_one(
                {"_id": identity, **({"run": self.run} if changed else {})},
                {
                    "$set": {
                        "state": ImportState.COMPLETE.value,
                        "run": self.run,
                        "completed_at": _now(),
                        "totals": _to_pairs(totals),
                        **({} if changed or known else {"started_at": _now()}),
                    },
                    "$addToSet": {"days": {"$each": [_midnight(day) for day in sorted(days)]}},
                    "$setOnInsert": self._names(partition),
                },
                upsert=not changed,
            )

    def finish(self, outcome: Mapping[str, int], defects: Sequence[Mapping[str, Any]]) -> None:
        """Close the record of an import that went well."""
        self._close(ImportState.COMPLETE, outcome=dict(outcome), defects=list(defects))

    def fail(self) -> None:
        """Close the record of an import that stopped with an error."""
        self._close(ImportState.FAILED)

    def _close(self, state: ImportState, **more: Any) -> None:
        with failures("noting the import"):
            self._history.update_one(
                {"_id": self.run}, {"$set": {"state": state.value, "ended_at": _now(), **more}}
            )

    def _id(self, partition: Partition) -> str:
        return manifest_id(self._collection, partition)

    def _names(self, partition: Partition) -> dict[str, Any]:
        return {
            "collection": self._collection,
            "billing_account": partition.billing_account,
            "billing_period": partition.billing_period,
        }


def manifest_id(collection: str, partition: Partition) -> str:
    """The ``_id`` of a month's manifest: at most 600 characters, however long the account's is."""
    account = partition.billing_account
    if account is None:
        named = ""
    elif len(account) <= _LONGEST_ACCOUNT:
        named = f" {account}"
    else:
        named = f" {account[:_LONGEST_ACCOUNT]} {sha256(account.encode()).hexdigest()}"
    return f"{collection} {partition.billing_period.isoformat()}{named}"


def manifests_of(source: Namespace) -> list[Manifest]:
    """Every manifest of a source collection."""
    manifests, _ = _collections(source)
    found = manifests.find({"collection": source.collection})
    return [_manifest(document) for document in found]


def history_of(source: Namespace) -> list[ImportRecord]:
    """The latest imports into a source collection, latest first."""
    _, history = _collections(source)
    found = history.find({"collection": source.collection}).sort("started_at", -1)
    return [
        ImportRecord(
            run=document["_id"],
            state=ImportState(document["state"]),
            started_at=_aware(document["started_at"]),
            ended_at=_aware(document["ended_at"]) if document.get("ended_at") else None,
            files=document["files"],
            outcome=document.get("outcome", {}),
            defects=document.get("defects", []),
        )
        for document in found.limit(_HISTORY_READ)
    ]


def _collections(source: Namespace) -> tuple[Any, Any]:
    found = database(source.connection, source.database)
    return found[MANIFESTS], found[HISTORY]


def _manifest(document: Mapping[str, Any]) -> Manifest:
    completed = document.get("completed_at")
    return Manifest(
        id=document["_id"],
        billing_account=document["billing_account"],
        billing_period=_aware(document["billing_period"]),
        run=document["run"],
        state=ImportState(document["state"]),
        started_at=_aware(document["started_at"]),
        completed_at=_aware(completed) if completed else None,
        totals=_from_pairs(document.get("totals", [])),
        days=frozenset(day.date() for day in document.get("days", [])),
    )


def _says(known: Mapping[str, Any], totals: Totals) -> bool:
    return known["state"] == ImportState.COMPLETE.value and known.get("totals") == _to_pairs(totals)


def _to_pairs(totals: Totals) -> list[dict[str, Any]]:
    """A currency as a value: as a name it would have to be free of dots and dollars."""
    return [{"currency": currency, **part} for currency, part in sorted(totals.items())]


def _from_pairs(pairs: Sequence[Mapping[str, Any]]) -> Totals:
    return {
        pair["currency"]: {name: value for name, value in pair.items() if name != "currency"}
        for pair in pairs
    }


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
