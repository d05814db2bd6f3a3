"""A builder in a process of its own, for tests that kill it: ``builder_process.py MODE``.

DATABASE_URL and VAR_DIR say where. Modes: ``prepare`` publishes one day, ``stuck`` writes new files
for it, says so and waits to be killed, ``many N`` adds to it N times while others do the same.
"""

import os
import sys
import time
from typing import Any

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finops.settings")
django.setup()

from datetime import date  # noqa: E402 - Django has to be set up before models are imported
from pathlib import Path  # noqa: E402

from finops.models import Dataset  # noqa: E402
from finops.segments.builder import DaysContested  # noqa: E402
from finops.segments.store import SegmentStore  # noqa: E402
from tests.finops.cost_documents import MemorySource, builder, charge  # noqa: E402

DAY = date(2026, 10, 20)


class StuckStore(SegmentStore):
    """Writes, says so after the second file, and never comes back."""

    def write(self, name: str, table: Any) -> None:
        super().write(name, table)
        if name.endswith(".rollup.parquet"):
            print("written", flush=True)
            time.sleep(600)


def prepare() -> None:
    call_command("migrate", "finops", verbosity=0)
    dataset = Dataset.objects.create(name="costs", flow="flow")
    builder(dataset, MemorySource([charge(DAY, "1")])).build([DAY])


def stuck() -> None:
    dataset = Dataset.objects.get()
    builder(dataset, MemorySource([charge(DAY, "2")]), StuckStore()).build([DAY])


def many(times: int) -> None:
    """Each time one more document, a file each, that all builders see."""
    dataset = Dataset.objects.get()
    folder = Path(os.environ["VAR_DIR"]) / "documents"
    folder.mkdir(exist_ok=True)

    class Folder(MemorySource):
        def documents(self, period: Any) -> Any:
            self.rows = [charge(DAY, "1") for _ in folder.iterdir()]
            return super().documents(period)

    for number in range(times):
        (folder / f"{os.getpid()}-{number}").touch()
        while True:
            try:
                builder(dataset, Folder()).build([DAY])
                break
            except DaysContested:
                continue


if __name__ == "__main__":
    mode, *arguments = sys.argv[1:]
    if mode == "many":
        many(int(arguments[0]))
    else:
        {"prepare": prepare, "stuck": stuck}[mode]()
