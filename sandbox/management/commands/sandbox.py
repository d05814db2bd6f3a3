"""``manage.py sandbox``: the whole product on one machine, with nothing but Python."""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from sandbox.entra.directory import PEOPLE
from sandbox.layout import PORT_NAMES, Layout
from sandbox.parts import ROOT, PartError
from sandbox.ports import PortTakenError, choose_ports, require_free
from sandbox.supervisor import AlreadyRunningError, StopRequested, Supervisor


class Command(BaseCommand):
    """Starts every part, loads the data at the first start, and watches until it is ended."""

    help = (
        "Runs the fake Entra, two MongoDB servers behind OIDC gates, the broker, the workers and"
        " the web server; loads made-up cost data at the first start. Ctrl-C ends everything."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--state", type=Path, default=Path(settings.BASE_DIR / "var/sandbox"))
        parser.add_argument("--port", type=int, default=8000, help="of the web server")
        parser.add_argument("--data", choices=["generated", "sample", "none"], default="generated")
        parser.add_argument("--rows", type=int, default=50_000, help="of the generated data")
        parser.add_argument("--token-lifetime", type=float, default=3600.0, metavar="SECONDS")
        parser.add_argument("--reset", action="store_true", help="forget the data and begin anew")

    def handle(self, *_: object, **options: Any) -> None:
        """Run until a signal or a part's end; exit with status 1 when a part failed."""
        state: Path = options["state"].resolve()
        try:
            with Supervisor(state) as supervisor:
                self._run(supervisor, state, options)
        except StopRequested as stop:
            self.stdout.write(f"\n{stop}: everything has ended; the data is kept in {state}.")
        except (AlreadyRunningError, PortTakenError) as error:
            raise CommandError(str(error)) from error
        except PartError as error:
            raise CommandError(
                f"{error}\nEverything else has been ended, and the data is kept. Run the same"
                " command again; if that does not help: make demo RESET=1 begins anew."
            ) from error

    def _run(self, supervisor: Supervisor, state: Path, options: dict[str, Any]) -> None:
        require_free(options["port"])
        if options["reset"]:
            _forget(state)
        ports = choose_ports(PORT_NAMES, memory=state / "ports.json")
        layout = Layout(state, ports, options["port"], options["token_lifetime"])
        supervisor.say(f"FinOps Dashboard, sandbox in {state}")
        for parts in layout.parts():
            supervisor.start(*parts)
        layout.write_environment()
        environment = {**os.environ, **layout.environment(), "LOG_LEVEL": "WARNING"}
        manage = [sys.executable, str(ROOT / "manage.py")]
        prepare = [*manage, "sandbox_prepare", *map(layout.gate_uri, ("source", "destination"))]
        prepare += ["--data", options["data"], "--rows", str(options["rows"])]
        supervisor.run("database, flow, groups, and data into the source", prepare, environment)
        supervisor.start(*layout.django_parts())
        supervisor.run("data on its way to the pages", [*manage, "sandbox_wait"], environment)
        _note_processes(state, supervisor)
        supervisor.say(_welcome(layout))
        supervisor.watch()


def _forget(state: Path) -> None:
    """Remove what earlier runs left, but for the lock that this one holds and its folders."""
    for entry in state.iterdir():
        if entry.name not in {"lock", "logs", "run"}:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _note_processes(state: Path, supervisor: Supervisor) -> None:
    """Write the process ids to ``processes.json``, for people and tests that look for them."""
    (state / "processes.json").write_text(json.dumps(supervisor.pids(), indent=1))


def _welcome(layout: Layout) -> str:
    people = list(PEOPLE.values())
    names, upns = (
        max(map(len, column)) for column in zip(*((p.name, p.upn) for p in people), strict=True)
    )
    lines = "\n".join(f"    {p.name:<{names}}  {p.upn:<{upns}}  {p.sees}" for p in people)
    return (
        f"\nOpen {layout.site_url} and sign in as one of\n{lines}\n"
        f"\nOther commands reach this sandbox with ENV_FILE={layout.state / 'env'}."
        "\nCtrl-C ends it and keeps the data."
    )
