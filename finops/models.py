"""Data sets and the manifest of their segments."""

from django.db import models
from django.db.models import Q


class Dataset(models.Model):
    """Cost data that the pages show, read from the copy that one replication flow keeps."""

    name = models.SlugField(unique=True)
    # One data set a flow: the flow's marks of touched days are removed by the one that read them.
    flow = models.SlugField(
        unique=True,
        help_text="The replication flow whose destination the segments are built from.",
    )
    version = models.PositiveBigIntegerField(
        default=0, editable=False, help_text="Grows with every publication of segments."
    )
    published_at = models.DateTimeField(null=True, editable=False)
    # Spares two builders the same work. Correctness never rests on it: publication compares
    # versions, and a claim that a killed builder left behind simply runs out.
    claimed_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Segment(models.Model):
    """What is published for one charge day (UTC): the files that hold it, and their content.

    A day that lost its last document keeps a row with ``rows`` 0 and no files, so that its version
    never starts again and a slow builder cannot bring old documents back.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="segments")
    day = models.DateField()
    version = models.PositiveBigIntegerField()
    rows = models.PositiveBigIntegerField()
    # Currency -> {"rows": n, metric: {"sum": "decimal", "missing": n}}.
    totals = models.JSONField()
    # What of the documents could not be kept as it was: {"rounded:BilledCost": n, …}.
    defects = models.JSONField(default=dict)
    rows_file = models.CharField(max_length=200, blank=True)
    rollup_file = models.CharField(max_length=200, blank=True)
    schema = models.CharField(max_length=16)
    built_at = models.DateTimeField()

    class Meta:
        ordering = ["dataset", "day"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "day"], name="finops_segment_day"),
            models.CheckConstraint(
                condition=Q(rows=0, rows_file="", rollup_file="")
                | (Q(rows__gt=0) & ~Q(rows_file="") & ~Q(rollup_file="")),
                name="finops_segment_files",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dataset} {self.day} v{self.version}"


class SegmentFile(models.Model):
    """A file in the segments' storage, recorded before it is written.

    ``retired_at`` is set from the start and cleared by publication; a file that was never
    published, or that nothing refers to any more, is deleted a while after it.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=200, unique=True)
    days = models.PositiveIntegerField(help_text="How many charge days it holds.")
    retired_at = models.DateTimeField(null=True, db_index=True)

    def __str__(self) -> str:
        return self.name
