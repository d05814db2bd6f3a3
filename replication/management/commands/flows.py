"""``manage.py flows``: how flows are going, flows from a file and back, and whose a copy is."""

import json
import os
import sys
import tempfile
from argparse import ArgumentParser
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from pymongo.errors import PyMongoError

from replication.claims import Claims
from replication.declaration import Declaration, parse, render
from replication.declaring import Action, Plan, Step, apply, current, make_plan, shown
from replication.errors import InvalidConfiguration, ReplicationError, describe
from replication.flow_report import as_lines, as_values
from replication.looks import look_at_all
from replication.models import Flow
from replication.mongo import client_for, close_clients
from replication.position import control_database
from replication.spec import Namespace
from replication.status import history_left_of, statuses, stuck_streams

_SIGNS = {
    Action.CREATE: "+",
    Action.CHANGE: "~",
    Action.UNCHANGED: " ",
    Action.ORPHANED: "?",
    Action.REMOVE: "-",
}


class Command(BaseCommand):
    """Shows how flows are going; makes them what a file says, or writes what is there."""

    help = (
        "Say how flows are going and which are stuck; make connections and flows what a YAML file"
        " says, after showing what would change; or write such a file of what is there. No secret"
        " is read or written, only references."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        actions = parser.add_subparsers(dest="action", required=True)
        applying = actions.add_parser("apply", help="show a plan, and carry it out")
        applying.add_argument("file", type=Path, metavar="FILE")
        applying.add_argument("--yes", action="store_true", help="do not ask")
        applying.add_argument("--prune", action="store_true", help="remove what the file lacks")
        looking = actions.add_parser(
            "status", help="say how all flows are going; exit code 1: some are stuck"
        )
        looking.add_argument("--json", action="store_true", help="print values for programs")
        releasing = actions.add_parser("release", help="let another flow write a copy")
        releasing.add_argument("connection", metavar="CONNECTION", help="the destination")
        releasing.add_argument("copy", metavar="DATABASE.COLLECTION", help="the copy there")
        exporting = actions.add_parser("export", help="write what is there")
        exporting.add_argument("file", type=Path, metavar="FILE", help="- prints it")

    def handle(self, *_args: Any, action: str, **options: Any) -> None:
        """Do what the action says."""
        try:
            if action == "apply":
                self._apply(_read(options["file"]), yes=options["yes"], prune=options["prune"])
            elif action == "export":
                self._export(options["file"])
            elif action == "status":
                self._show(as_json=options["json"])
            else:
                self._release(options["connection"], options["copy"])
        except InvalidConfiguration as error:
            problems = "\n".join(f"  {problem}" for problem in error.problems)
            place = f"{options['file']}: " if "file" in options else ""
            raise CommandError(f"{place}nothing was changed.\n{problems}") from error
        except (ReplicationError, PyMongoError) as error:
            raise CommandError(describe(error)) from error

    def _show(self, *, as_json: bool) -> None:
        try:
            found = statuses()
            history = _history()
        finally:
            close_clients()
        if as_json:
            values = [as_values(status, history.get(status.name)) for status in found]
            self.stdout.write(json.dumps(values))
        else:
            self.stdout.write("\n".join(as_lines(found, history)) or "There is no flow yet.")
        if any(True for status in found for _stuck in stuck_streams(status)):
            sys.exit(1)

    def _release(self, connection: str, copy: str) -> None:
        database, _, collection = copy.partition(".")
        namespace = Namespace(connection, database, collection)
        try:
            released = Claims(control_database(client_for(connection))).release(namespace)
        finally:
            close_clients()
        if not released:
            raise CommandError(f"No flow has claimed {namespace}.")
        self.stdout.write(f"{namespace} belongs to the flow that writes it next.")

    def _export(self, file: Path) -> None:
        declaration = current()
        text = render(declaration)
        if str(file) == "-":
            self.stdout.write(text, ending="")
            return
        try:
            _write(file, text)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}.") from error
        self.stdout.write(
            f"Wrote {len(declaration.connections)} connections and {len(declaration.flows)} flows"
            f" to {file}."
        )

    def _apply(self, declaration: Declaration, *, yes: bool, prune: bool) -> None:
        plan = make_plan(declaration, prune=prune)
        self.stdout.write(as_text(plan))
        if plan.empty:
            return
        if not yes and not self._agreed():
            raise CommandError("Nothing was changed. Give --yes to apply the plan.")
        apply(declaration, plan, prune=prune)
        self.stdout.write("Applied.")

    def _agreed(self) -> bool:
        if not sys.stdin.isatty():
            return False
        return input("Apply? [y/N] ").strip().lower() in ("y", "yes")


def _history() -> dict[str, timedelta | None]:
    flows = Flow.objects.filter(enabled=True).select_related("source", "destination")
    return look_at_all({flow.name: partial(history_left_of, flow) for flow in flows})


def as_text(plan: Plan) -> str:
    """Return a plan for people, field by field."""
    lines = [line for step in plan.steps for line in _lines(step)]
    count = {action: sum(step.action is action for step in plan.steps) for action in Action}
    lines.append(
        "Nothing to do."
        if plan.empty
        else ", ".join(f"{number} {action.value}" for action, number in count.items() if number)
        + "."
    )
    if count[Action.ORPHANED]:
        lines.append("What is not in the file stays; --prune removes it.")
    return "\n".join(lines)


def _lines(step: Step) -> list[str]:
    if step.action is Action.UNCHANGED:
        return []
    lines = [f"{_SIGNS[step.action]} {step.path}: {step.action.value}"]
    for name, before, after in step.changes:
        old = f"{shown(name, before)} → " if step.action is Action.CHANGE else ""
        lines.append(f"    {name}: {old}{shown(name, after)}")
    if step.copies_anew:
        lines.append("    It will copy everything anew.")
    return lines


def _read(file: Path) -> Declaration:
    try:
        return parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: byte {error.start} is no UTF-8.") from error


def _write(file: Path, text: str) -> None:
    """Write the whole file or leave the one that is there."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=file.parent, prefix=f".{file.name}.", delete=False
    ) as temporary:
        temporary.write(text)
    try:
        Path(temporary.name).chmod(0o644)
        os.replace(temporary.name, file)
    except OSError:
        Path(temporary.name).unlink()
        raise
