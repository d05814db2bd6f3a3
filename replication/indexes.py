"""The source's indexes, created in the copy too.

They are created once the copy is consistent: before, two documents of it may hold a value that they
had one after the other, and no unique index would be built. An index that lets documents expire is
left out: the source deletes them, and the copy must not do it by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from replication.errors import FailureKind, sort_failure
from replication.rules import FieldAction, FieldRule

log = structlog.get_logger(__name__)

# What a server says of an index, and does not take when one is created.
_NOT_OURS = frozenset({"ns", "background", "prepareUnique", "buildUUID"})
_PASSING = frozenset({FailureKind.TRANSIENT, FailureKind.REAUTHENTICATE})
_REASONS = {
    67: "the destination does not have this kind of index",
    85: "the copy has another index of this name or on these fields",
    86: "the copy has another index of this name or on these fields",
    11000: "documents of the copy have the same values",
}


@dataclass(frozen=True)
class LeftOut:
    """An index of the source that the copy does not have, by name, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def copy_indexes(
    source: Collection[Any], copy: Collection[Any], rules: Sequence[FieldRule] = ()
) -> tuple[LeftOut, ...]:
    """Create the source's secondary indexes in the copy; return those that could not be.

    It may be called again, and then creates what is missing.

    Raises:
        PyMongoError: a side does not answer; a build that began goes on by itself.
    """
    hidden = {rule.field for rule in rules if rule.action is not FieldAction.HASH}
    left_out = []
    for index in source.list_indexes():
        if list(index["key"]) == ["_id"]:
            continue
        reason = _objection(index, hidden) or _create(copy, index)
        if reason is not None:
            left_out.append(LeftOut(index["name"], reason))
            log.warning("index_left_out", index=index["name"], reason=reason)
    return tuple(left_out)


def _objection(index: Mapping[str, Any], hidden: set[str]) -> str | None:
    if "expireAfterSeconds" in index:
        return "it lets documents expire, which is for the source to do"
    if index.get("clustered"):
        return "it is how the source stores its documents"
    for field in (*index["key"], *index.get("weights", ())):
        if any(field == each or field.startswith(f"{each}.") for each in hidden):
            return f"the copy does not have the values of {field}"
    return None


def _create(copy: Collection[Any], index: Mapping[str, Any]) -> str | None:
    """Create an index; return why it could not be."""
    wanted = {name: value for name, value in index.items() if name not in _NOT_OURS}
    try:
        copy.database.command({"createIndexes": copy.name, "indexes": [wanted]})
    except OperationFailure as error:
        if sort_failure(error) in _PASSING:
            raise
        return _REASONS.get(error.code or 0, f"the destination answers {error.code}")
    return None
