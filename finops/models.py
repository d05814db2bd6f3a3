"""Data sets and the manifest of their segments."""

from django.conf import settings
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


class ImportedMonth(models.Model):
    """What the source's manifest says of one billing account's month, and whether that is here.

    Kept up by the task that builds segments, so that pages never ask the source. While a month is
    not ``settled``, no charge day of it is published anew.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="imported_months")
    key = models.CharField(max_length=700, help_text="The manifest's _id at the source.")
    billing_account = models.TextField(null=True)
    billing_period = models.DateField(help_text="Its first day.")
    run = models.CharField(max_length=32)
    state = models.CharField(max_length=16)
    started_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    # As Segment.totals, with a checksum of the rows beside them.
    totals = models.JSONField()
    # The run whose rows have arrived, or that an operator accepted as they are.
    settled_run = models.CharField(max_length=32, blank=True)
    accepted = models.BooleanField(default=False)
    # What of it was here when it was last looked at, and when to look again.
    rows_here = models.PositiveBigIntegerField(null=True)
    look_again_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["dataset", "-billing_period", "billing_account"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "key"], name="finops_imported_month")
        ]

    def __str__(self) -> str:
        return f"{self.dataset} {self.name}"

    @property
    def name(self) -> str:
        """Its billing month, fit for logs: the account is the documents'."""
        return f"{self.billing_period:%Y-%m}"

    @property
    def rows(self) -> int:
        """How many rows the manifest says."""
        return sum(part["rows"] for part in self.totals.values())

    @property
    def settled(self) -> bool:
        """Whether its latest import has arrived, or was accepted as it is."""
        return self.settled_run == self.run


class ImportRun(models.Model):
    """One import of files into the source, as the source's history has it."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="import_runs")
    run = models.CharField(max_length=32)
    state = models.CharField(max_length=16)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    files = models.JSONField(default=list)
    outcome = models.JSONField(default=dict)
    defects = models.JSONField(default=list)

    class Meta:
        ordering = ["dataset", "-started_at"]
        constraints = [models.UniqueConstraint(fields=["dataset", "run"], name="finops_import_run")]

    def __str__(self) -> str:
        return f"{self.dataset} {self.started_at:%Y-%m-%d %H:%M}"


class HeldDay(models.Model):
    """A charge day that changed and is not published, because a month of it is not settled."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="held_days")
    day = models.DateField()
    held_at = models.DateTimeField()

    class Meta:
        ordering = ["dataset", "day"]
        constraints = [models.UniqueConstraint(fields=["dataset", "day"], name="finops_held_day")]

    def __str__(self) -> str:
        return f"{self.dataset} {self.day}"


class Reconciliation(models.Model):
    """The latest comparison of a data set's documents, segments and manifests."""

    dataset = models.OneToOneField(Dataset, on_delete=models.CASCADE, related_name="reconciliation")
    made_at = models.DateTimeField()
    agrees = models.BooleanField()
    # One entry a billing month and currency: finops.reconciliation.Line, of JSON's types.
    lines = models.JSONField()

    def __str__(self) -> str:
        return f"{self.dataset} {self.made_at:%Y-%m-%d %H:%M}"


class PagePreference(models.Model):
    """What one person last chose to see, on whichever machine."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="page_preference"
    )
    currency = models.CharField(max_length=20, blank=True)
    metric = models.CharField(max_length=12, blank=True)

    def __str__(self) -> str:
        return str(self.user)


class SavedView(models.Model):
    """One question under a name. ``query`` is the explorer's query string."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views"
    )
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=80)
    query = models.TextField()
    shared = models.BooleanField(default=False)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "dataset", "name"], name="finops_saved_view_name"
            )
        ]

    def __str__(self) -> str:
        return self.name


class DefaultView(models.Model):
    """The view with which the explorer opens for one person: their own, or a shared one."""

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="default_view"
    )
    view = models.ForeignKey(SavedView, on_delete=models.CASCADE, related_name="default_of")

    def __str__(self) -> str:
        return f"{self.person}: {self.view}"
