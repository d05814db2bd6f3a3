"""Imports as the pages know them, without any import."""

from datetime import UTC, date, datetime
from typing import Any

from finops.models import Dataset, ImportedMonth, ImportRun

STARTED = datetime(2026, 10, 1, 6, tzinfo=UTC)


def imported(dataset: Dataset, **fields: Any) -> ImportedMonth:
    """September 2026 of one billing account, whole and here."""
    month: dict[str, Any] = {
        "key": f"focus {fields.get('billing_period', '2026-09')}",
        "billing_account": "account",
        "billing_period": date(2026, 9, 1),
        "run": "run",
        "settled_run": "run",
        "state": "complete",
        "started_at": STARTED,
        "completed_at": STARTED,
        "totals": {},
    }
    return ImportedMonth.objects.create(dataset=dataset, **month | fields)


def ran(dataset: Dataset, **fields: Any) -> ImportRun:
    """An import that went well."""
    run: dict[str, Any] = {
        "run": "run",
        "state": "complete",
        "started_at": STARTED,
        "ended_at": datetime(2026, 10, 1, 6, 2, tzinfo=UTC),
        "files": ["september.csv"],
        "outcome": {"read": 10, "inserted": 8, "unchanged": 2, "removed": 1, "set_aside": 0},
    }
    return ImportRun.objects.create(dataset=dataset, **run | fields)
