"""A declaration is compared with the rows that are there, and made true, all of it or nothing.

A plan is made by doing it in a transaction that is rolled back: so it meets every rule that the
real thing will meet, those of the database included.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction

from replication.config import MongoConfig
from replication.declaration import (
    CONNECTION_FIELDS,
    DEFAULTS,
    FLOW_FIELDS,
    Declaration,
    Fields,
)
from replication.errors import InvalidConfiguration, ReplicationError
from replication.models import Connection, Flow
from replication.scope import CollectionScope
from replication.steering import remove

_COPIES_ANEW = frozenset(FLOW_FIELDS[:6]) - {"collection"} | {"filter", "field_rules"}


class PlanChanged(ReplicationError):
    """Somebody changed rows between the plan and its execution."""


class Action(StrEnum):
    """What becomes of one row."""

    CREATE = "create"
    CHANGE = "change"
    UNCHANGED = "unchanged"
    ORPHANED = "not in the file"  # and left alone
    REMOVE = "remove"


@dataclass(frozen=True)
class Step:
    """One row of a plan. ``changes`` are (field, before, after)."""

    path: str  # e.g. flows.costs
    action: Action
    changes: tuple[tuple[str, Any, Any], ...] = ()

    @property
    def copies_anew(self) -> bool:
        """Whether a flow that exists would have to copy everything again."""
        return (
            self.action is Action.CHANGE
            and self.path.startswith("flows.")
            and any(_copies_anew(*change) for change in self.changes)
        )


def _copies_anew(name: str, before: Any, after: Any) -> bool:
    if name == "collection":  # what stays in the scope goes on
        items = set(CollectionScope.parse(before).items)
        return items.isdisjoint(CollectionScope.parse(after).items)
    return name in _COPIES_ANEW


@dataclass(frozen=True)
class Plan:
    """All steps in the order in which they are done."""

    steps: tuple[Step, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return all(step.action in (Action.UNCHANGED, Action.ORPHANED) for step in self.steps)


def current() -> Declaration:
    """Return what there is.

    Raises:
        InvalidConfiguration: an address holds a password, which must not get into a file.
    """
    connections = {row.name: _fields_of(row, CONNECTION_FIELDS) for row in Connection.objects.all()}
    problems = [
        f"connections.{name}.uri holds a password: put it where a password reference can lead."
        for name, fields in connections.items()
        if _has_password(fields["uri"])
    ]
    if problems:
        raise InvalidConfiguration(problems)
    flows = Flow.objects.select_related("source", "destination")
    return Declaration(connections, {row.name: _fields_of(row, FLOW_FIELDS) for row in flows})


def make_plan(declaration: Declaration, *, prune: bool) -> Plan:
    """Return what ``apply`` would do; change nothing.

    Raises:
        InvalidConfiguration: every problem, with its line.
    """
    with transaction.atomic():
        try:
            return _carry_out(declaration, prune=prune)
        finally:
            transaction.set_rollback(True)


def apply(declaration: Declaration, expected: Plan, *, prune: bool) -> None:
    """Make the declaration true in one transaction.

    Raises:
        InvalidConfiguration: every problem, with its line; nothing was changed.
        PlanChanged: it would not do what ``expected`` says; nothing was changed.
    """
    with transaction.atomic():
        if _carry_out(declaration, prune=prune) != expected:
            raise PlanChanged("The rows have changed since the plan was made: look at a new plan.")


def shown(name: str, value: object) -> str:
    """Return a field's value for people; an address with a password is not shown."""
    if name == "uri" and isinstance(value, str) and _has_password(value):
        return "(an address that holds a password)"
    return repr(value)


def _carry_out(declaration: Declaration, *, prune: bool) -> Plan:
    problems: list[str] = []
    steps: list[Step] = []
    gone = Action.REMOVE if prune else Action.ORPHANED
    # Flows that go make room for those that come; connections go when nothing uses them any more.
    lost_flows = Flow.objects.exclude(name__in=list(declaration.flows))
    steps += (Step(f"flows.{name}", gone) for name in _names(lost_flows))
    if prune:
        remove(lost_flows)
    lost_connections = Connection.objects.exclude(name__in=list(declaration.connections))
    lost_names = _names(lost_connections)
    rows = {row.name: row for row in Connection.objects.all()}
    for name, fields in declaration.connections.items():
        row = rows.setdefault(name, Connection(name=name))
        steps.append(_save(row, f"connections.{name}", fields, declaration, problems))
    available = {name: row for name, row in rows.items() if row.pk is not None}
    if prune:
        available = {name: row for name, row in available.items() if name not in lost_names}
    known = {row.name: row for row in Flow.objects.select_related("source", "destination")}
    for name, fields in declaration.flows.items():
        path = f"flows.{name}"
        problems += _unknown_connections(path, fields, available, declaration)
        ends = {end: available.get(fields[end]) for end in ("source", "destination")}
        if None in ends.values():
            continue
        flow = known.get(name, Flow(name=name))
        steps.append(_save(flow, path, {**fields, **ends}, declaration, problems))
    steps += (Step(f"connections.{name}", gone) for name in lost_names)
    if problems:
        raise InvalidConfiguration(problems)
    if prune:
        lost_connections.delete()
    return Plan(tuple(steps))


def _save(
    row: Connection | Flow,
    path: str,
    fields: Mapping[str, Any],
    declaration: Declaration,
    problems: list[str],
) -> Step:
    new = row._state.adding
    before = {} if new else _fields_of(row, tuple(fields))
    for name, value in fields.items():
        setattr(row, name, value)
    after = _fields_of(row, tuple(fields))
    defaults = DEFAULTS[path.partition(".")[0]]
    changes = tuple(
        (name, before.get(name), value)
        for name, value in after.items()
        if value != (defaults[name] if new else before[name])
    )
    if not new and not changes:
        return Step(path, Action.UNCHANGED)
    try:
        row.full_clean()
    except ValidationError as error:
        problems += _sentences(error, path, declaration)
        return Step(path, Action.UNCHANGED)
    row.save()
    return Step(path, Action.CREATE if new else Action.CHANGE, changes)


def _unknown_connections(
    path: str, fields: Fields, available: Mapping[str, Connection], declaration: Declaration
) -> Iterator[str]:
    for end in ("source", "destination"):
        name = fields[end]
        # A declared one that could not be saved has been complained about.
        if name not in available and name not in declaration.connections:
            known = ", ".join(sorted(available)) or "none"
            yield (
                f"{declaration.place(f'{path}.{end}')}: there is no connection {name!r};"
                f" there are: {known}."
            )


def _sentences(error: ValidationError, path: str, declaration: Declaration) -> Iterator[str]:
    for name, messages in error.message_dict.items():
        here = path if name == "__all__" else f"{path}.{name}"
        for message in messages:
            yield f"{declaration.place(here)}: {message}"


def _fields_of(row: models.Model, names: Sequence[str]) -> Fields:
    values = {name: getattr(row, name) for name in names}
    return {
        name: value.name if isinstance(value, Connection) else value
        for name, value in values.items()
    }


def _names(rows: "models.QuerySet[Any]") -> list[str]:
    return list(rows.order_by("name").values_list("name", flat=True))


def _has_password(uri: str) -> bool:
    return MongoConfig(connection_uri=uri).has_password_in_uri
