"""What happens to fields on their way: some stay behind, some are hidden, some become a digest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class FieldAction(StrEnum):
    """What becomes of a field in the copy."""

    DROP = "drop"  # it is not there
    MASK = "mask"  # a text in its place says that it was
    HASH = "hash"  # a keyed digest: equal values stay equal, and nobody can guess them


@dataclass(frozen=True)
class FieldRule:
    """One field, e.g. ``Tags.owner``, and what becomes of it."""

    field: str
    action: FieldAction


def read_rules(value: object) -> tuple[FieldRule, ...]:
    """Read rules as a flow stores them: ``[{"field": "Tags.owner", "action": "hash"}]``.

    Raises:
        ValueError: names the rule that is none, and why.
    """
    if not isinstance(value, list):
        raise ValueError("Expected a list of rules.")  # noqa: TRY004 - a value from a form
    rules = tuple(_rule(number, item) for number, item in enumerate(value, 1))
    seen: set[str] = set()
    for rule in rules:
        if rule.field in seen:
            raise ValueError(f"The field {rule.field!r} has two rules.")
        seen.add(rule.field)
    return rules


def _rule(number: int, item: object) -> FieldRule:
    if not isinstance(item, Mapping) or set(item) != {"field", "action"}:
        raise ValueError(f'Rule {number}: expected {{"field": …, "action": …}}.')
    field, action = item["field"], item["action"]
    if not _is_path(field):
        raise ValueError(f"Rule {number}: expected the name of a field, dots between its parts.")
    if field.split(".")[0] == "_id":
        raise ValueError(f"Rule {number}: _id is what documents are known by, and stays.")
    if action not in {each.value for each in FieldAction}:
        known = ", ".join(FieldAction)
        raise ValueError(f"Rule {number}: the action is {action!r}, expected one of {known}.")
    return FieldRule(field, FieldAction(action))


def _is_path(field: Any) -> bool:
    if not isinstance(field, str):
        return False
    parts: Sequence[str] = field.split(".")
    return all(part and not part.startswith("$") for part in parts)
