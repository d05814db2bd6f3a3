"""``manage.py verify_flow NAME``: whether a flow's copy is what its source is."""

import json
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from bson import json_util
from django.core.management.base import BaseCommand, CommandError
from pymongo.errors import PyMongoError
from tqdm import tqdm

from replication.discovery import collections_of, listed, stored
from replication.errors import ReplicationError, describe
from replication.models import Flow
from replication.mongo import client_for, close_clients
from replication.ranges import Kind
from replication.records import read_records
from replication.settling import Pace
from replication.verification import Verification, Verifier

_LINE_EVERY = 3.0  # seconds between lines where there is no terminal for a bar
_CANNOT_TELL = 2
_WORDS = {
    Kind.MISSING: "missing in the destination",
    Kind.EXTRA: "only in the destination",
    Kind.CHANGED: "different",
}


class Command(BaseCommand):
    """Compares, repairs if asked to, and says what was found."""

    help = (
        "Compare both sides of a flow byte by byte and name the documents that differ, by _id"
        " only. It may run beside the flow. Exit code 0: equal; 1: differences remain; 2: it could"
        " not be told."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("name", metavar="NAME", help="the flow")
        parser.add_argument(
            "--repair",
            action="store_true",
            help="copy and remove what differs; safe beside a running flow",
        )
        parser.add_argument(
            "--sample",
            type=_positive,
            metavar="N",
            help="compare N random documents of the source only",
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(
        self,
        *_args: Any,
        name: str,
        repair: bool,
        sample: int | None,
        json: bool,
        **_options: Any,
    ) -> None:
        """Run the comparison."""
        flow = Flow.objects.select_related("source", "destination").filter(name=name).first()
        if flow is None:
            known = ", ".join(Flow.objects.values_list("name", flat=True)) or "none yet"
            raise CommandError(
                f"There is no flow {name!r}; there are: {known}.", returncode=_CANNOT_TELL
            )
        try:
            results = {
                collection: _verified(flow, collection, repair=repair, sample=sample)
                for collection in _collections(flow)
            }
        except (PyMongoError, ReplicationError) as error:
            raise CommandError(f"{name}: {describe(error)}", returncode=_CANNOT_TELL) from error
        finally:
            close_clients()
        self.stdout.write(as_json(name, results) if json else as_text(name, results, repair=repair))
        if any(result.remaining for result in results.values()):
            sys.exit(1)
        if not results or any(result.unsettled for result in results.values()):
            sys.exit(_CANNOT_TELL)


def _collections(flow: Flow) -> Sequence[str]:
    """Return the collections of a flow; all that its patterns find have to be known.

    Raises:
        PyMongoError, ReplicationError: a side cannot be asked.
    """
    if not flow.scope.has_patterns:
        return flow.scope.names
    positions = read_records(flow.destination.name, [flow.id]).positions
    there = listed(flow.source.name, flow.source_database)
    return collections_of(flow, there, stored(flow, positions))


def _verified(flow: Flow, collection: str, *, repair: bool, sample: int | None) -> Verification:
    standing = not flow.enabled or flow.failures.filter(collection=collection).exists()
    with _progress(_named(flow, collection)) as (show, set_total):
        verifier = Verifier(
            flow.stream(collection),
            client_for(flow.source.name),
            client_for(flow.destination.name),
            repair=repair,
            pace=Pace(without_owner=0.0) if standing else Pace(),
            on_progress=show,
        )
        set_total(sample or verifier.total())
        return verifier.verify_sample(sample) if sample else verifier.verify_all()


def _named(flow: Flow, collection: str) -> str:
    return flow.name if flow.scope.single else f"{flow.name}, {collection}"


def as_text(flow: str, results: Mapping[str, Verification], *, repair: bool) -> str:
    """Return the summary for people: of each collection, and of all where there are several."""
    if not results:
        return f"{flow}: nothing in the source matches the flow's patterns yet."
    if len(results) == 1:
        return "\n".join(_lines(flow, result, repair=repair) for result in results.values())
    texts = [_lines(f"{flow}, {name}", each, repair=repair) for name, each in results.items()]
    unequal = [name for name, each in results.items() if each.remaining or each.unsettled]
    verdict = f"not equal: {', '.join(unequal)}" if unequal else "all equal"
    return "\n".join((*texts, f"{flow}: {len(results):,} collections, {verdict}."))


def _lines(name: str, result: Verification, *, repair: bool) -> str:
    rate = result.source.count / max(result.seconds, 0.001)
    what = f"{result.source.count:,} {'random ' if result.sample else ''}documents of the source"
    if not result.sample:
        what += f" and {result.destination.count:,} of the destination"
    lines = [f"{name}: {what} in {result.seconds:,.1f} s ({rate:,.0f}/s)"]
    if not result.sample and result.source == result.destination:
        lines.append(f"Digest of both sides: {result.source}")
    if result.differences and not result.running:
        lines.append("Nobody works on the flow: what it has yet to bring counts as a difference.")
    lines += [f"  {kind.value:<8}{json_util.dumps(key)}" for kind, key in result.listed]
    if result.differences > len(result.listed):
        lines.append(f"  … and {result.differences - len(result.listed):,} more")
    lines.append(_verdict(result))
    if result.unsettled:
        lines.append(
            f"{result.unsettled:,} documents changed whenever they were looked at, or the flow did"
            " not catch up: run again."
        )
    if repair and result.differences:
        lines.append(f"Repaired: {result.repaired:,}. Remaining: {result.remaining:,}.")
    if result.refused:
        lines.append(
            f"The destination refuses {result.refused:,} of them for good: look at its unique"
            " indexes and validation rules."
        )
    elif result.remaining and not repair:
        lines.append("Run again with --repair to copy and remove them.")
    return "\n".join(lines)


def as_json(flow: str, results: Mapping[str, Verification]) -> str:
    """Return the result for programs; ``_id`` values are Extended JSON."""
    collections = [{"collection": name, **_as_values(result)} for name, result in results.items()]
    found: dict[str, Any] = {"flow": flow}
    if len(collections) == 1:
        found |= collections[0]
    else:
        equal = bool(collections) and all(each["equal"] for each in collections)
        found |= {"equal": equal, "collections": collections}
    return json.dumps(found, ensure_ascii=False)


def _as_values(result: Verification) -> dict[str, Any]:
    return {
        "equal": not result.remaining and not result.unsettled,
        "sample": result.sample,
        "running": result.running,
        "source": {"count": result.source.count, "digest": str(result.source)},
        "destination": {"count": result.destination.count, "digest": str(result.destination)},
        "ranges": result.ranges,
        "ranges_looked_into": result.ranges_looked_into,
        "rechecked": result.rechecked,
        **{kind.value: result.counts[kind] for kind in Kind},
        "unsettled": result.unsettled,
        "repaired": result.repaired,
        "refused": result.refused,
        "remaining": result.remaining,
        "listed": [
            {"kind": kind.value, "_id": json.loads(json_util.dumps(key))}
            for kind, key in result.listed
        ],
        "seconds": round(result.seconds, 3),
    }


def _verdict(result: Verification) -> str:
    if not result.differences:
        return "No difference was found." if result.sample or result.unsettled else "Equal."
    found = ", ".join(
        f"{result.counts[kind]:,} {_WORDS[kind]}" for kind in Kind if result.counts[kind]
    )
    return f"Differences: {found}."


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r}: expected a number from 1")
    return int(text)


@contextmanager
def _progress(name: str) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """Yield what shows the progress and what sets its end: a bar on a terminal, else lines."""
    last = time.monotonic()
    with tqdm(unit=" documents", desc=name, disable=not sys.stderr.isatty()) as bar:

        def set_total(total: int) -> None:
            bar.total = total

        def show(read: int) -> None:
            nonlocal last
            bar.update(read - bar.n)
            if bar.disable and time.monotonic() - last >= _LINE_EVERY:
                last = time.monotonic()
                sys.stderr.write(f"{name}: {read:,} of about {bar.total:,} documents\n")
                sys.stderr.flush()

        yield show, set_total
