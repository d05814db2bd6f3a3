"""What an administrator decides: which clusters there are, and what is copied between them.

What changes with every batch (positions, leases, marks) lives in the destination cluster instead.
"""

import json
import uuid
from collections.abc import Iterator, Sequence

from django.core.exceptions import ValidationError
from django.db import models

from replication.connections import Connection
from replication.errors import InvalidConfiguration
from replication.filters import filter_problem
from replication.references import read_secret
from replication.rules import FieldAction, FieldRule, read_rules
from replication.scope import PLACEHOLDER, CollectionScope, copy_name
from replication.spec import CONTROL_DATABASE, Namespace, StreamSpec, WriteMode, stream_key

__all__ = ["Connection", "Flow", "OnHistoryLost", "OnPoison", "StreamFailure"]

_SHORTEST_KEY = 16  # characters


class OnHistoryLost(models.TextChoices):
    """What a flow does when the source no longer has the events after its position."""

    SNAPSHOT = "snapshot", "Take a new snapshot"
    STOP = "stop", "Stop and say so"


class OnPoison(models.TextChoices):
    """What a flow does with a document that the destination refuses for good."""

    DEAD_LETTER = "dead_letter", "Set it aside as a dead letter, and go on"
    STOP = "stop", "Stop and say so"


class Flow(models.Model):
    """Copies collections and keeps the copies up to date: each collection is a stream."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.SlugField(unique=True, help_text="A short name, e.g. 'costs'.")
    source = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="flows_from")
    source_database = models.CharField(max_length=63)
    collection = models.CharField(
        "source collections",
        max_length=2000,
        help_text="One name, several separated by commas, or patterns such as costs_*. Collections"
        " that appear later are taken up too.",
    )
    destination = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="flows_to")
    destination_database = models.CharField(max_length=63)
    destination_collection = models.CharField(
        max_length=255,
        help_text=f"The copy's name. {PLACEHOLDER} stands for the name in the source: needed where"
        " there is more than one, e.g. {collection} or eu_{collection}.",
    )
    partition_fields = models.JSONField(
        default=list,
        blank=True,
        help_text='Fields whose changed values are recorded, as a list, e.g. ["ChargePeriodStart"].'
        " Reports are rebuilt by them.",
    )
    filter = models.JSONField(
        default=dict,
        blank=True,
        help_text='Only documents that match are copied, as a query, e.g. {"ProviderName":'
        ' "Microsoft"}. A change copies everything again.',
    )
    field_rules = models.JSONField(
        default=list,
        blank=True,
        help_text='Fields to drop, mask or hash on the way, e.g. [{"field": "Tags.owner",'
        ' "action": "hash"}]. A change copies everything again.',
    )
    hash_key_ref = models.CharField(
        "hash key reference",
        max_length=300,
        blank=True,
        help_text="Where the key of hashed fields is: env:NAME or file:NAME, as for passwords.",
    )
    copy_indexes = models.BooleanField(
        default=False, help_text="Create the source's indexes in the destination too."
    )
    enabled = models.BooleanField(default=True, help_text="A paused flow keeps its position.")
    on_history_lost = models.CharField(
        "when history is lost",
        max_length=16,
        choices=OnHistoryLost.choices,
        default=OnHistoryLost.SNAPSHOT,
        help_text="A new snapshot copies everything again and removes what is gone.",
    )
    on_poison = models.CharField(
        "when a document is refused",
        max_length=16,
        choices=OnPoison.choices,
        default=OnPoison.DEAD_LETTER,
        help_text="The destination may refuse one for good, e.g. by a unique index.",
    )
    write_mode = models.CharField(
        max_length=16,
        choices=[
            (WriteMode.AUTOMATIC.value, "Transactions where the destination has them"),
            (WriteMode.TRANSACTIONS.value, "Transactions"),
            (WriteMode.GUARDED.value, "Guarded: one more field in each document"),
        ],
        default=WriteMode.AUTOMATIC.value,
        help_text="How the copy is kept from being doubled and from going back.",
    )
    beyond_history = models.BooleanField(
        "go on beyond history",
        default=False,
        help_text="Go on with a snapshot that will take longer than the source keeps its history.",
    )
    snapshots_asked = models.PositiveIntegerField(default=0, editable=False)
    skips_asked = models.PositiveIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["destination", "destination_database", "destination_collection"],
                # Copies that keep their sources' names differ by those: see clean().
                condition=~models.Q(destination_collection__contains=PLACEHOLDER),
                name="replication_flow_destination",
                violation_error_message="Another flow already writes this destination collection.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scope(self) -> CollectionScope:
        """The collections of the source that this flow copies."""
        return CollectionScope.parse(self.collection)

    @property
    def copies(self) -> CollectionScope:
        """The names of the copies."""
        return self.scope.renamed(self.destination_collection)

    def source_of(self, collection: str) -> Namespace:
        """Return where a collection is read, by its name in the source."""
        return Namespace(self.source.name, self.source_database, collection)

    def destination_of(self, collection: str) -> Namespace:
        """Return where its copy is."""
        copy = copy_name(self.destination_collection, collection)
        return Namespace(self.destination.name, self.destination_database, copy)

    def key_of(self, collection: str) -> str:
        """Return the id of its stream's lease and position."""
        return stream_key(self.id, self.source_of(collection))

    def stream(self, collection: str) -> StreamSpec:
        """Return what a worker needs to know of one of the collections.

        Raises:
            InvalidConfiguration: the reference of the hash key leads nowhere.
        """
        rules = read_rules(self.field_rules)
        hashes = any(rule.action is FieldAction.HASH for rule in rules)
        return StreamSpec(
            flow_id=self.id,
            flow_name=self.name,
            source=self.source_of(collection),
            destination=self.destination_of(collection),
            partition_fields=tuple(self.partition_fields),
            snapshot_again=self.on_history_lost == OnHistoryLost.SNAPSHOT,
            snapshots_asked=self.snapshots_asked,
            skips_asked=self.skips_asked,
            beyond_history=self.beyond_history,
            filter=json.dumps(self.filter, sort_keys=True) if self.filter else "",
            rules=rules,
            hash_key=read_secret(self.hash_key_ref).encode() if hashes else b"",
            copy_indexes=self.copy_indexes,
            dead_letters=self.on_poison == OnPoison.DEAD_LETTER,
            write_mode=WriteMode(self.write_mode),
        )

    def clean(self) -> None:
        """Refuse a flow that cannot work, or that would spoil what something else writes."""
        errors = dict(self._problems())
        if errors:
            raise ValidationError(errors)
        source = (self.source_id, self.source_database)
        if source == (self.destination_id, self.destination_database) and (
            self.scope.overlaps(self.copies)
        ):
            raise ValidationError("The destination is the source itself: choose another one.")
        self._refuse_another_ones_copy()

    def _problems(self) -> Iterator[tuple[str, str]]:
        if not isinstance(self.partition_fields, list) or not all(
            isinstance(field, str) and field for field in self.partition_fields
        ):
            yield "partition_fields", "Expected a list of field names."
        if self.destination_database == CONTROL_DATABASE:
            yield (
                "destination_database",
                f"{CONTROL_DATABASE!r} holds the flows' own records: choose another database.",
            )
        if not self.scope.items:
            yield "collection", "Expected the name of a collection, or a pattern."
        elif self.scope.single is None and PLACEHOLDER not in self.destination_collection:
            yield (
                "destination_collection",
                f"Several collections cannot have one copy: write {PLACEHOLDER} where the name in"
                " the source belongs.",
            )
        if problem := filter_problem(self.filter):
            yield "filter", problem
        try:
            rules = read_rules(self.field_rules)
        except ValueError as error:
            yield "field_rules", str(error)
        else:
            yield from self._problems_of_rules(rules)

    def _problems_of_rules(self, rules: Sequence[FieldRule]) -> Iterator[tuple[str, str]]:
        if any(rule.action is FieldAction.HASH for rule in rules):
            try:
                key = read_secret(self.hash_key_ref)
            except InvalidConfiguration as error:
                yield "hash_key_ref", " ".join(error.problems)
            else:
                if len(key) < _SHORTEST_KEY:
                    yield (
                        "hash_key_ref",
                        f"The key has {len(key)} characters, expected {_SHORTEST_KEY} or more:"
                        " a short one can be guessed, and with it the values.",
                    )
        if isinstance(self.partition_fields, list):
            yield from self._problems_of_partitions(rules)

    def _problems_of_partitions(self, rules: Sequence[FieldRule]) -> Iterator[tuple[str, str]]:
        for rule in rules:
            hidden = rule.field in self.partition_fields
            if hidden and rule.action in (FieldAction.DROP, FieldAction.MASK):
                yield (
                    "field_rules",
                    f"{rule.field} is a partition field, whose values the copy needs: hash it, or"
                    " take it out of the partition fields.",
                )

    def _refuse_another_ones_copy(self) -> None:
        others = Flow.objects.filter(
            destination_id=self.destination_id, destination_database=self.destination_database
        ).exclude(id=self.id)
        for other in others:
            if other.copies.overlaps(self.copies):
                raise ValidationError(
                    {
                        "destination_collection": "Another flow already writes this destination"
                        f" collection, or could: {other.name!r} writes"
                        f" {other.destination_collection!r}."
                    }
                )


class StreamFailure(models.Model):
    """Why one collection of a flow stands still until somebody resumes the flow."""

    flow = models.ForeignKey(Flow, on_delete=models.CASCADE, related_name="failures")
    collection = models.CharField(max_length=255)  # in the source
    error = models.TextField()
    failed_at = models.DateTimeField()

    class Meta:
        ordering = ["flow", "collection"]
        constraints = [
            models.UniqueConstraint(
                fields=["flow", "collection"], name="replication_streamfailure_stream"
            )
        ]

    def __str__(self) -> str:
        return f"{self.flow}: {self.collection}"
