"""``manage.py reconcile``: documents against segments against what was imported."""

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from finops.costs.engine import CostQueryFailed
from finops.costs.metrics import Metric
from finops.costs.reconciliation import Held
from finops.importing.summary import table
from finops.importing.sums import plain
from finops.models import Dataset, ImportedMonth
from finops.reconciliation import Line, Verdict, reconcile
from finops.segments.arrival import accept, learn_of_imports
from finops.segments.documents import destination_of
from replication.status import ReplicationError, source_of

DIFFERS, NOT_COMPARED, ARRIVING = 1, 2, 3


class Command(BaseCommand):
    """Prints one line per billing month and currency, and ends with what they came to."""

    help = (
        "Compare rows and sums by billing month and currency: the documents at the destination,"
        " the segments that pages read, and the manifests of imports at the source. Exit code 0:"
        " everything agrees; 1: something differs; 2: it could not be compared; 3: nothing differs,"
        " but an import is under way or has not arrived in whole."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("--dataset", metavar="NAME", help="default: every one")
        parser.add_argument(
            "--accept",
            metavar="YYYY-MM",
            action="append",
            default=[],
            help="publish what has arrived of this billing month although it is not what the import"
            " wrote; may be given several times",
        )

    def handle(self, *_args: Any, dataset: str | None, accept: list[str], **_options: Any) -> None:
        """Compare one data set after the other."""
        months = [_month(text) for text in accept]
        found = Dataset.objects.all() if dataset is None else Dataset.objects.filter(name=dataset)
        if not found:
            known = ", ".join(Dataset.objects.values_list("name", flat=True)) or "none yet"
            raise _failed(f"There is no data set {dataset or ''!r}; there are: {known}.")
        verdicts: set[Verdict] = set()
        for one in found:
            verdicts |= {line.verdict for line in self._compare(one, months)}
        if Verdict.DIFFERS in verdicts:
            raise CommandError("Something differs.", returncode=DIFFERS)
        if Verdict.ARRIVING in verdicts:
            raise CommandError("Imports have not arrived in whole.", returncode=ARRIVING)

    def _compare(self, dataset: Dataset, accepted: list[date]) -> list[Line]:
        try:
            learn_of_imports(dataset, source_of(dataset.flow))
            self._accept(dataset, accepted)
            lines = reconcile(dataset, destination_of(dataset))
        except (CostQueryFailed, ReplicationError) as error:
            raise _failed(f"Data set {dataset.name!r}: {error}") from error
        except CommandError:
            raise
        except Exception as error:
            # Of the driver, whose types may not be named here and whose texts quote documents.
            raise _failed(
                f"Data set {dataset.name!r} cannot be compared: {type(error).__name__}. Do both"
                " clusters answer? manage.py test_auth tells."
            ) from error
        self.stdout.write(f"Data set {dataset.name}")
        self.stdout.write("\n".join(_lines(lines)) if lines else "No rows anywhere.")
        return lines

    def _accept(self, dataset: Dataset, accepted: list[date]) -> None:
        for month in accepted:
            found = ImportedMonth.objects.filter(
                dataset=dataset,
                billing_period__year=month.year,
                billing_period__month=month.month,
            )
            count = accept(dataset, found)
            if not count:
                raise _failed(f"Nothing of {month:%Y-%m} waits to be published.")
            self.stdout.write(f"{month:%Y-%m}: what has arrived is published within seconds.")


def _lines(lines: list[Line]) -> list[str]:
    rows = [["billed in", "currency", "verdict", "at", "rows", *(m.focus_column for m in Metric)]]
    for line in lines:
        month = f"{line.month:%Y-%m}" if line.month else "(none)"
        sides: list[tuple[str, Held | None]] = [("segments", line.segments)]
        if line.verdict is not Verdict.AGREES:
            sides += [("documents", line.documents), ("manifest", line.manifest)]
        for name, side in sides:
            shown = ["–"] * 5
            if side is not None:
                shown = [f"{side.rows:,}", *(plain(side.sums[metric]) for metric in Metric)]
            first = name == "segments"
            head = [month, line.currency, line.verdict.value] if first else ["", "", ""]
            rows.append([*head, name, *shown])
    return table(rows, left=4)


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise _failed(f"--accept {text}: expected a month such as 2026-09.") from None


def _failed(text: str) -> CommandError:
    return CommandError(text, returncode=NOT_COMPARED)
