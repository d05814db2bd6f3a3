"""``manage.py rebuild_segments``: every segment anew, from the destination's documents."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from finops.models import Dataset, HeldDay
from finops.segments.arrival import ImportGate
from finops.segments.builder import DaysContested, builder_for, days_to_rebuild
from finops.segments.documents import CHARGE_PERIOD_START, destination_of
from replication.status import SeveralCollections, UnknownFlow, flow_status


class Command(BaseCommand):
    """Pages stay up meanwhile, and a replication that goes on loses nothing."""

    help = "Build every charge day's segment anew from the documents at the destination."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which data set."""
        parser.add_argument("--dataset", help="its name; all of them without this option")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rebuild one after the other."""
        names = sorted(Dataset.objects.values_list("name", flat=True))
        wanted = options["dataset"]
        if not names:
            raise CommandError("There is no data set: add one in the admin under Cost data.")
        if wanted is not None and wanted not in names:
            raise CommandError(f"There is no data set {wanted!r}; there are: {', '.join(names)}.")
        for name in names if wanted is None else [wanted]:
            self._rebuild(Dataset.objects.get(name=name))

    def _rebuild(self, dataset: Dataset) -> None:
        try:
            status = flow_status(dataset.flow)
            source = destination_of(dataset)
        except (UnknownFlow, SeveralCollections) as error:
            raise CommandError(f"Data set {dataset.name!r}: {error}") from error
        if CHARGE_PERIOD_START not in status.partition_fields:
            self.stderr.write(
                f"Flow {status.name!r} does not mark charge days, so later changes will not reach"
                f" the pages: add {CHARGE_PERIOD_START!r} to its partition fields."
            )
        days = days_to_rebuild(dataset, source)
        # Only a terminal gets the bar: a log would fill with it.
        quiet = not sys.stderr.isatty()
        with tqdm(total=len(days), unit="day", desc=dataset.name, disable=quiet) as bar:
            try:
                gate = ImportGate(dataset, status.source)
                builder_for(dataset, source, gate).build(days, progress=bar.update)
            except DaysContested as error:
                raise CommandError(f"{error} Run the command again.") from error
        held = HeldDay.objects.filter(dataset=dataset).count()
        if held:
            self.stderr.write(
                f"{held} days are held back: imports into their months have not arrived in whole."
                " manage.py reconcile tells which."
            )
        dataset.refresh_from_db()
        self.stdout.write(f"{dataset.name}: {len(days)} days, version {dataset.version}.")
