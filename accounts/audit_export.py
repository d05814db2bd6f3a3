"""Audit events as files: JSON lines for machines, CSV for people; written as they are read."""

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from accounts.cells import safe
from accounts.models import AuditEvent

COLUMNS: Final = (
    "at",
    "kind",
    "reason",
    "user_oid",
    "user_name",
    "resource",
    "ip",
    "request_id",
    "details",
)


class _Echo:
    """What ``csv`` writes to: it gives each line back."""

    def write(self, line: str) -> str:
        return line


def as_jsonl(events: Iterable[AuditEvent]) -> Iterator[str]:
    """One object a line."""
    for event in events:
        yield json.dumps(_facts(event), ensure_ascii=False) + "\n"


def as_csv(events: Iterable[AuditEvent]) -> Iterator[str]:
    """A line an event. No cell is a formula to a spreadsheet."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for event in events:
        facts = _facts(event)
        facts["details"] = json.dumps(facts["details"], ensure_ascii=False)
        yield writer.writerow([safe(str(facts[name] or "")) for name in COLUMNS])


def _facts(event: AuditEvent) -> dict[str, Any]:
    return {
        "at": event.at.isoformat(),
        **{name: getattr(event, name) for name in COLUMNS if name != "at"},
    }
