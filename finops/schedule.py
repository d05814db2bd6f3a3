"""Which queue a task goes to, and which tasks come again by themselves."""

from typing import Any

_HOUR, _DAY = 3600.0, 86400.0

ROUTES = {
    "replication.tasks.supervise": {"queue": "supervisor"},
    "replication.tasks.offer_parts": {"queue": "supervisor"},
    "replication.tasks.run_stream_slice": {"queue": "streams"},
    "replication.tasks.copy_part": {"queue": "snapshots"},
    "finops.tasks.build_touched_segments": {"queue": "segments"},
    "finops.tasks.tidy_segments": {"queue": "segments"},
}


def beat_schedule(
    *, supervise: float, build_segments: float, tidy_segments: float
) -> dict[str, dict[str, Any]]:
    """Return the schedule of Celery's beat. Periods are in seconds."""
    return {
        "accounts-clear-sessions": _every(_HOUR, "accounts.tasks.clear_sessions"),
        "accounts-prune-audit": _every(_DAY, "accounts.tasks.prune_audit"),
        "replication-supervise": _every(supervise, "replication.tasks.supervise"),
        "replication-offer-parts": _every(supervise, "replication.tasks.offer_parts"),
        "finops-build-touched-segments": _every(
            build_segments, "finops.tasks.build_touched_segments"
        ),
        "finops-reconcile": _every(_DAY, "finops.tasks.reconcile_datasets"),
        "finops-tidy-segments": _every(tidy_segments, "finops.tasks.tidy_segments"),
    }


def _every(seconds: float, task: str) -> dict[str, Any]:
    # A message that nobody took by the next one's time is worthless.
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}
