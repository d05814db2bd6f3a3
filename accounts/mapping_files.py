"""Mappings as files, CSV or JSON: written for people and tools, read as a whole or not at all.

    group_oid,display_name,level,sub_accounts,expires_on,note

``sub_accounts`` is separated by ``;`` in CSV and a list in JSON; empty or null stands for all rows.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final

from accounts.cells import plain, safe
from accounts.claims import display_text
from accounts.grants import canonical_oid
from accounts.levels import PermissionLevel
from accounts.mappings import Change, MappingValues
from accounts.models import GroupMapping

COLUMNS: Final = ("group_oid", "display_name", "level", "sub_accounts", "expires_on", "note")
LARGEST: Final = 1_000_000  # characters
SEPARATOR: Final = ";"
LONGEST_SUB_ACCOUNT: Final = 500


class ImportRefused(ValueError):
    """The file is refused as a whole. ``problems`` names every line that is wrong, and how."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def to_csv(mappings: Iterable[GroupMapping]) -> str:
    """Write them so that ``read`` gives the same values, and no spreadsheet runs a formula."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for facts in map(_facts, mappings):
        scope = SEPARATOR.join(facts["sub_accounts"] or [])
        writer.writerow([safe(str(v or "")) for v in {**facts, "sub_accounts": scope}.values()])
    return file.getvalue()


def to_json(mappings: Iterable[GroupMapping]) -> str:
    """Write them as a list of objects."""
    return json.dumps([_facts(mapping) for mapping in mappings], indent=2, ensure_ascii=False)


def read(text: str) -> list[MappingValues]:
    """Read a CSV or JSON file. Raises ``ImportRefused`` with every problem there is."""
    if len(text) > LARGEST:
        raise ImportRefused([f"The file is longer than {LARGEST:,} characters."])
    text = text.removeprefix("\ufeff")
    is_json = text.lstrip().startswith(("[", "{"))
    found: list[MappingValues] = []
    problems: list[str] = []
    lines: dict[str, str] = {}
    for place, row in _json_rows(text) if is_json else _csv_rows(text):
        values = _values(place, row, problems)
        if values is None:
            continue
        oid = str(values.group_oid)
        if oid in lines:
            problems.append(f"{place}: the group {oid} is in {lines[oid]} already.")
        lines.setdefault(oid, place.lower())
        found.append(values)
    if problems:
        raise ImportRefused(problems)
    if not found:
        raise ImportRefused(["The file has no mapping."])
    return found


def changes_for(wanted: Iterable[MappingValues], *, replace: bool) -> list[Change]:
    """Return what turns the stored mappings into ``wanted``.

    Those of other groups stay, unless ``replace``: then they go.
    """
    stored = {row.group_oid: row for row in GroupMapping.objects.all()}
    changes = []
    for values in wanted:
        row = stored.pop(values.group_oid, None)
        if row is None or MappingValues.of(row) != values:
            changes.append(Change(row, values))
    if replace:
        changes += [Change(row, None) for row in stored.values()]
    return changes


def sub_accounts(entries: Iterable[str]) -> tuple[str, ...] | None:
    """Return the ids without blanks and repetitions; None for no id. Raises ``ValueError``."""
    found = tuple(dict.fromkeys(entry.strip() for entry in entries if entry.strip()))
    for entry in found:
        if len(entry) > LONGEST_SUB_ACCOUNT or display_text(entry, limit=len(entry)) != entry:
            raise ValueError(f"{entry[:60]!r} is no sub account's id.")
    return tuple(sorted(found)) or None


def _facts(mapping: GroupMapping) -> dict[str, Any]:
    facts = MappingValues.of(mapping).facts()
    facts["sub_accounts"] = facts.pop("scope")
    facts["level"] = facts["level"].lower()
    return {name: facts[name] for name in COLUMNS}


def _csv_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _require_columns(reader.fieldnames or ())
        for row in reader:
            place = f"Line {reader.line_num}"
            if None in row or None in row.values():
                raise ImportRefused([f"{place}: it has not as many cells as the first line."])
            cells = {name: plain(cell) for name, cell in row.items()}
            entries = cells.get("sub_accounts", "").split(SEPARATOR)
            yield place, {**cells, "sub_accounts": entries}
    except csv.Error as error:
        raise ImportRefused([f"Line {reader.line_num}: this is no CSV ({error})."]) from None


def _json_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ImportRefused([f"This is no JSON: {error}."]) from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ImportRefused(["The JSON is not a list of objects."])
    for number, row in enumerate(rows, start=1):
        _require_columns(row)
        entries = row.get("sub_accounts")
        if entries is not None and not isinstance(entries, list):
            raise ImportRefused([f"Entry {number}: sub_accounts is no list."])
        yield f"Entry {number}", {**row, "sub_accounts": entries or []}


def _require_columns(names: Iterable[str]) -> None:
    names = list(names)
    missing = [name for name in ("group_oid", "level") if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown:
        raise ImportRefused(
            [f"{', '.join(missing)} missing." for _ in missing[:1]]
            + [f"{name!r} is unknown; expected: {', '.join(COLUMNS)}." for name in unknown]
        )


def _values(place: str, row: Mapping[str, Any], problems: list[str]) -> MappingValues | None:
    """Return the row's values; None after noting every problem of it."""
    read: dict[str, Any] = {}
    parsers: dict[str, Callable[[Any], Any]] = {
        "group_oid": lambda cell: canonical_oid(str(cell)),
        "level": PermissionLevel.parse,
        "sub_accounts": lambda cell: sub_accounts(map(str, cell)),
        "expires_on": lambda cell: date.fromisoformat(str(cell)) if cell else None,
    }
    for name, parse in parsers.items():
        try:
            read[name] = parse(row.get(name, ""))
        except ValueError as error:
            problems.append(f"{place}: {name}: {error}")
    if len(read) < len(parsers):
        return None
    return MappingValues(
        group_oid=read["group_oid"],
        level=read["level"],
        display_name=display_text(row.get("display_name")),
        scope=read["sub_accounts"],
        expires_on=read["expires_on"],
        note=display_text(row.get("note"), limit=500),
    )
