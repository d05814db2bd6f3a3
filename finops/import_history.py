"""Imports and the defects that they met, as the data page shows them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from finops.freshness import age
from finops.importing.defects import Rule
from finops.importing.journal import ImportState
from finops.models import Dataset, ImportRun
from finops.segments.values import Defect

_IMPORTS_SHOWN = 20
_PLACES_SHOWN = 3
_RULES = Rule.__members__
Tone = Literal["good", "warn", "bad", "plain"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the description of a data set."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Remark:
    """A short judgement; the tone never says more than the text."""

    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class DefectLine:
    """One rule and column, with the first places and texts of its cells."""

    rule: str
    column: str
    rows: str
    places: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One import of the history."""

    started: datetime
    took: str
    files: str
    remark: Remark
    counts: tuple[Fact, ...]
    defects: tuple[DefectLine, ...]


_KEPT = {
    Defect.ROUNDED: "more than 18 decimals, rounded",
    Defect.UNREADABLE: "not of the column's type or out of range, empty on the pages",
}


def kept(dataset: Dataset) -> tuple[DefectLine, ...]:
    """What of the published documents could not be kept as it was."""
    counts: dict[str, int] = {}
    for defects in dataset.segments.filter(rows__gt=0).values_list("defects", flat=True):
        for name, rows in defects.items():
            counts[name] = counts.get(name, 0) + rows
    lines = []
    for name, rows in sorted(counts.items()):
        defect, _, column = name.partition(":")
        lines.append(DefectLine(_KEPT[Defect(defect)], column, f"{rows:,}", "", ()))
    return tuple(lines)


def imports(dataset: Dataset) -> tuple[ImportLine, ...]:
    """The latest imports, latest first."""
    return tuple(map(_import_line, ImportRun.objects.filter(dataset=dataset)[:_IMPORTS_SHOWN]))


def _import_line(run: ImportRun) -> ImportLine:
    remarks = {
        ImportState.IMPORTING: Remark("under way, or broken off", "warn"),
        ImportState.COMPLETE: Remark("complete", "good"),
        ImportState.FAILED: Remark("failed", "bad"),
    }
    files = run.files[0] if len(run.files) == 1 else f"{len(run.files)} files"
    return ImportLine(
        started=run.started_at,
        took=age(run.ended_at - run.started_at) if run.ended_at else "–",
        files=files,
        remark=remarks[ImportState(run.state)],
        counts=tuple(
            Fact(name.replace("_", " "), f"{count:,}") for name, count in run.outcome.items()
        ),
        defects=tuple(_defect_lines(run.defects)),
    )


def _defect_lines(defects: Iterable[dict[str, Any]]) -> Iterable[DefectLine]:
    """Most rows first. A release that knows other rules may have written them: those stay names."""
    for defect in sorted(defects, key=lambda one: -one["rows"]):
        yield DefectLine(
            rule=Rule[defect["rule"]].value if defect["rule"] in _RULES else defect["rule"],
            column=defect["column"] or "(the row)",
            rows=f"{defect['rows']:,}",
            places=_places(defect["lines"][:_PLACES_SHOWN]),
            cells=tuple(defect["cells"]),
        )


def _places(places: Iterable[dict[str, Any]]) -> str:
    """Lines by file: ``a.csv, line 2, 3; b.csv, line 7``."""
    files: dict[str, list[str]] = {}
    for place in places:
        files.setdefault(place["file"], []).append(str(place["line"]))
    return "; ".join(f"{file}, line {', '.join(lines)}" for file, lines in files.items())
