"""``manage.py test_auth``: can every connection sign in, and if not, why, and what mends it."""

import logging
import math
import shutil
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from django.conf import settings
from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
)
from django.db import DatabaseError

from finops.diagnosis.checks import EXIT_CODES, exit_code
from finops.diagnosis.output import Subject, Terminal, as_json
from finops.diagnosis.pages import PagesProbe
from replication.auth.diagnosis.connections import (
    AUTH_METHODS,
    Overrides,
    Target,
    connection_names,
    target_at,
    target_of,
)
from replication.auth.diagnosis.mongo import Wanted, mongo_steps
from replication.auth.diagnosis.probe import MongoProbe
from replication.auth.diagnosis.steps import Step, run
from replication.status import ReplicationError

_OVERRIDES = ("auth_method", "tenant_id", "client_id", "scope", "database", "collection")

_EXIT_CODES = """exit codes (of several subjects the first that failed):
    0  all steps succeeded
    1  the command could not begin
    2  unknown option"""


class _HelpFormatter(RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Keeps the lines as written, and Django's own options last."""


class Command(BaseCommand):
    """Chooses what to look at, and shows what was found."""

    help = (
        "Look at the sign-in of MongoDB connections step by step: configuration, DNS, TLS,\n"
        "token, sign-in, ping, and what the flows do with the connection. The first failure ends\n"
        "it, with its cause and remedy. Without a name every connection is looked at. No token,\n"
        "secret or document is ever shown."
    )
    # It is here to find out what is wrong, so it must not refuse to start because of that.
    requires_system_checks = []

    def get_version(self) -> str:
        """Return the product's version, not Django's."""
        return settings.VERSION

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return a parser whose help lists the exit codes."""
        codes = [f"  {code:>3}  {check}" for check, code in EXIT_CODES.items()]
        epilog = "\n".join([_EXIT_CODES, *codes])
        parser = super().create_parser(prog_name, subcommand, epilog=epilog, **kwargs)
        parser.formatter_class = _HelpFormatter
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("connections", nargs="*", metavar="CONNECTION", help="default: all")
        parser.add_argument("--uri", help="an address that no connection has: mongodb[+srv]://…")
        parser.add_argument(
            "--auth-method",
            "--mongo-auth",
            choices=AUTH_METHODS,
            help="instead of the connection's; with --uri the default is entra",
        )
        parser.add_argument("--tenant-id", metavar="GUID", help="instead of the connection's")
        parser.add_argument("--client-id", metavar="GUID", help="instead of the connection's")
        parser.add_argument("--scope", help="instead of what the host is known to accept")
        parser.add_argument("--database", help="with --collection: what to read and watch")
        parser.add_argument("--collection")
        parser.add_argument(
            "--watch",
            action="store_true",
            help="open a change stream, also where no flow reads from the connection",
        )
        parser.add_argument(
            "--write",
            action="store_true",
            help="insert and delete a document in a collection of its own, which is dropped after",
        )
        parser.add_argument("--login", action="store_true", help="look at sign-in to the pages")
        parser.add_argument(
            "--graph", action="store_true", help="as --login, and at Microsoft Graph's permissions"
        )
        parser.add_argument(
            "--timeout",
            type=_seconds,
            default=10.0,
            metavar="SECONDS",
            help="for each step (default: %(default)g)",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object, for machines")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Look at everything that was asked for, and exit with the first failure's code."""
        terminal = None
        if not options["json"]:
            columns = shutil.get_terminal_size().columns if self.stdout.isatty() else None
            terminal = Terminal(self.stdout.write, self.style, columns=columns)
        subjects = []
        with ExitStack() as stack:
            if options["verbosity"] < 2:
                # Logs would only repeat between the lines what the steps say.
                logging.disable(logging.CRITICAL)
                stack.callback(logging.disable, logging.NOTSET)
            for subject, steps in _chosen(options, stack):
                subjects.append(subject)
                if terminal:
                    terminal.begin(subject)
                for result in run(steps, timeout=options["timeout"]):
                    subject.results.append(result)
                    if terminal:
                        terminal.show(result)
        code = next((exit_code(found.failure) for found in subjects if found.failure), 0)
        if terminal:
            terminal.end(subjects)
        else:
            self.stdout.write(as_json(subjects, version=settings.VERSION, code=code))
        if code:
            sys.exit(code)


def _chosen(options: dict[str, Any], stack: ExitStack) -> Iterator[tuple[Subject, list[Step]]]:
    timeout, pages = options["timeout"], options["login"] or options["graph"]
    targets = _targets(options, pages=pages)
    wanted = Wanted(watch=options["watch"], write=options["write"])
    if pages:
        name = f"Sign-in to {settings.SITE_URL or 'the pages'}"
        yield Subject(name, "pages"), PagesProbe(timeout).steps(graph=options["graph"])
    for target in targets:
        probe = MongoProbe(target.config, timeout=timeout)
        stack.callback(probe.close)
        yield Subject(target.name, "connection"), mongo_steps(target, probe, wanted)


def _targets(options: dict[str, Any], *, pages: bool) -> list[Target]:
    names: list[str] = options["connections"]
    overrides = Overrides(**{name: options[name] or "" for name in _OVERRIDES})
    if options["uri"]:
        if names:
            raise CommandError("Give connections or --uri, not both.")
        return [target_at(options["uri"], overrides)]
    if pages and not names:
        return []
    try:
        found = [target_of(name) for name in names or connection_names()]
    except ReplicationError as error:
        raise CommandError(str(error)) from error
    except DatabaseError as error:
        raise CommandError(
            f"The connections cannot be read from Django's database ({type(error).__name__}): check"
            " DATABASE_URL, run 'manage.py migrate', or give an address with --uri."
        ) from error
    if not found:
        raise CommandError(
            "There is no connection yet. Add one in the admin under Replication, Connections, or"
            " give an address with --uri."
        )
    return [overrides.of(target) for target in found]


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.1 <= seconds <= 600:
        raise ArgumentTypeError(f"{text!r} is no number of seconds from 0.1 to 600")
    return seconds
