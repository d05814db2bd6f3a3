"""Brings the sandbox's database up to date, and its cost data into the source cluster once."""

import argparse
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts.mappings import create_mapping
from accounts.models import GroupMapping
from accounts.permissions import PermissionLevel
from finops.models import Dataset
from replication.models import Connection, Flow
from sandbox.data.generator import DEFAULT_ROWS, FEWEST_ROWS, write
from sandbox.entra import directory

SAMPLE = Path(settings.BASE_DIR) / "sandbox" / "data" / "focus_sample.csv"
FLOW = "costs"
GROUPS = {
    directory.GROUP_ADMIN: ("FinOps administrators", PermissionLevel.ADMIN),
    directory.GROUP_ANALYST: ("FinOps analysts", PermissionLevel.ANALYST),
    directory.GROUP_VIEWER: ("Cost viewers", PermissionLevel.VIEWER),
}


class Command(BaseCommand):
    """Migrates, creates what an administrator would in the admin, and imports the data."""

    help = "Used by 'manage.py sandbox'."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("source", help="URI of the source cluster")
        parser.add_argument("destination", help="URI of the destination cluster")
        parser.add_argument("--data", choices=["generated", "sample", "none"], required=True)
        parser.add_argument("--rows", type=int, default=DEFAULT_ROWS)

    def handle(self, *_: object, **options: Any) -> None:
        """Do all of it; whatever an earlier run did stays."""
        call_command("migrate", verbosity=0)
        create_rows(source=options["source"], destination=options["destination"])
        if options["data"] != "none":
            self._load(options["data"], options["rows"])

    def _load(self, data: str, rows: int) -> None:
        """Import, unless an earlier run did; refuse to mix two kinds of data."""
        memory = Path(settings.VAR_DIR) / "loaded.json"
        wanted = {"data": data, "rows": rows if data == "generated" else None}
        if memory.exists():
            loaded = json.loads(memory.read_text())
            if loaded != wanted:
                raise CommandError(
                    f"This sandbox holds {_named(loaded)}, not {_named(wanted)}. Ask for what it"
                    " holds, or begin anew: make demo RESET=1"
                )
            self.stdout.write(f"    {_named(loaded)}, loaded by an earlier run")
            return
        file = SAMPLE if data == "sample" else self._generated(rows)
        call_command("import_focus", str(file), stdout=self.stdout)
        memory.write_text(json.dumps(wanted))

    def _generated(self, rows: int) -> Path:
        if rows < FEWEST_ROWS:
            raise CommandError(f"--rows is {rows}; expected at least {FEWEST_ROWS}.")
        path = Path(settings.VAR_DIR) / "generated.csv"
        self.stdout.write(f"    generating {rows:,} rows into {path}")
        write(path, rows=rows, end=datetime.now(UTC).date() - timedelta(days=1))
        return path


def create_rows(*, source: str, destination: str) -> None:
    """Create or update connections (their ports change); create flow, data set and mappings."""
    connections = []
    for name, uri in (("source", source), ("destination", destination)):
        connection = Connection.objects.filter(name=name).first() or Connection(name=name)
        connection.uri = uri
        connection.full_clean()
        connection.save()
        connections.append(connection)
    if not Flow.objects.filter(name=FLOW).exists():
        flow = Flow(
            name=FLOW,
            source=connections[0],
            source_database="billing",
            collection="focus",
            destination=connections[1],
            destination_database="reporting",
            destination_collection="focus",
            partition_fields=["ChargePeriodStart"],
        )
        flow.full_clean()
        flow.save()
    Dataset.objects.get_or_create(name="costs", defaults={"flow": FLOW})
    for oid, (title, level) in GROUPS.items():
        if not GroupMapping.objects.filter(group_oid=oid).exists():
            create_mapping(group_oid=UUID(oid), display_name=title, level=level, note="Sandbox")


def _named(wanted: dict[str, Any]) -> str:
    if wanted["data"] == "sample":
        return "the official FOCUS sample"
    return f"{wanted['rows']:,} generated rows"
