"""Imports the sandbox's cost data into the source cluster, once."""

import argparse
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from sandbox.data.generator import DEFAULT_ROWS, FEWEST_ROWS, write

SAMPLE = Path(settings.BASE_DIR) / "sandbox" / "data" / "focus_sample.csv"


class Command(BaseCommand):
    """Remembers what it loaded, so that a second start is quick and mixes nothing."""

    help = "Used by 'manage.py sandbox'."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("data", choices=["generated", "sample"])
        parser.add_argument("--rows", type=int, default=DEFAULT_ROWS)

    def handle(self, *_: object, **options: Any) -> None:
        """Import, unless an earlier run did; refuse to mix two kinds of data."""
        memory = settings.VAR_DIR / "loaded.json"
        rows = options["rows"] if options["data"] == "generated" else None
        wanted = {"data": options["data"], "rows": rows}
        if memory.exists():
            loaded = json.loads(memory.read_text())
            if loaded != wanted:
                raise CommandError(
                    f"This sandbox holds {_named(loaded)}, not {_named(wanted)}. Ask for what it"
                    " holds, or begin anew: make demo RESET=1"
                )
            self.stdout.write(f"    {_named(loaded)}, loaded by an earlier run")
            return
        call_command("import_focus", str(self._file(options)), stdout=self.stdout)
        memory.write_text(json.dumps(wanted))

    def _file(self, options: dict[str, Any]) -> Path:
        if options["data"] == "sample":
            return SAMPLE
        if options["rows"] < FEWEST_ROWS:
            raise CommandError(f"--rows is {options['rows']}; expected at least {FEWEST_ROWS}.")
        path = Path(settings.VAR_DIR / "generated.csv")
        self.stdout.write(f"    generating {options['rows']:,} rows into {path}")
        write(path, rows=options["rows"], end=datetime.now(UTC).date() - timedelta(days=1))
        return path


def _named(wanted: dict[str, Any]) -> str:
    if wanted["data"] == "sample":
        return "the official FOCUS sample"
    return f"{wanted['rows']:,} generated rows"
