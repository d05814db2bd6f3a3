"""A source, its copy, and replication as slow as a test wants it, over a real server."""

import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.utils import timezone
from pymongo import MongoClient, ReplaceOne
from pymongo.collection import Collection

from finops.importing.journal import Journal
from finops.importing.run import import_files
from finops.importing.summary import ImportSummary
from finops.models import Dataset, ImportedMonth, Segment
from finops.tasks import build_touched_segments
from replication.models import Connection, Flow
from replication.mongo import database
from replication.status import Namespace

Rows = Collection[dict[str, Any]]


@dataclass
class Arriving:
    """A data set whose flow nobody runs but ``replicate``."""

    server: MongoClient[dict[str, Any]]
    flow: Flow
    dataset: Dataset

    @classmethod
    def create(cls, uri: str, server: MongoClient[dict[str, Any]]) -> "Arriving":
        cluster = Connection.objects.create(
            name="cluster", uri=uri, auth_method="connection_string"
        )
        name = f"arriving_{uuid.uuid4().hex[:8]}"
        flow = Flow.objects.create(
            name="costs",
            source=cluster,
            source_database=name,
            collection="focus",
            destination=cluster,
            destination_database=f"{name}_copy",
            destination_collection="focus",
            partition_fields=["ChargePeriodStart"],
        )
        return cls(server, flow, Dataset.objects.create(name="costs", flow="costs"))

    @property
    def namespace(self) -> Namespace:
        return Namespace("cluster", self.flow.source_database, "focus")

    @property
    def source(self) -> Rows:
        return self.server[self.flow.source_database]["focus"]

    @property
    def copy(self) -> Rows:
        return self.server[self.flow.destination_database]["focus"]

    def run_import(self, path: Path, **options: Any) -> ImportSummary:
        collection = database("cluster", self.flow.source_database)["focus"]
        return import_files([path], collection, Journal(self.namespace), **options)

    def replicate(self, at_most: int = 10**9, **where: Any) -> int:
        """Bring some of what differs over, with the marks of it; how much differed."""
        here = {row["_id"]: row for row in self.copy.find(where)}
        there = {row["_id"]: row for row in self.source.find(where)}
        changes = [
            (here.get(key), there.get(key))
            for key in sorted(here.keys() | there.keys())
            if here.get(key) != there.get(key)
        ]
        chosen = changes[:at_most]
        gone = [old["_id"] for old, new in chosen if old and not new]
        for start in range(0, len(gone), 100):
            self.copy.delete_many({"_id": {"$in": gone[start : start + 100]}})
        changed = [ReplaceOne({"_id": new["_id"]}, new) for old, new in chosen if old and new]
        if changed:
            self.copy.bulk_write(changed)
        added = [new for old, new in chosen if new and not old]
        if added:
            self.copy.insert_many(added)
        days = [one["ChargePeriodStart"] for pair in chosen for one in pair if one]
        if days:
            self.server["replication"]["marks"].insert_one(
                {
                    "flow": str(self.flow.id),
                    "partitions": [{"ChargePeriodStart": day} for day in set(days)],
                }
            )
        return len(changes)

    def publish(self) -> dict[date, Decimal]:
        """What the pages show after the task ran: the billed cost of each day, in one currency."""
        # Nobody waits in a test for a month to be looked at again.
        ImportedMonth.objects.update(look_again_at=timezone.now())
        build_touched_segments()
        return self.shown()

    def shown(self) -> dict[date, Decimal]:
        return {
            one.day: Decimal(totals["billed"]["sum"])
            for one in Segment.objects.filter(rows__gt=0)
            for totals in one.totals.values()
        }
