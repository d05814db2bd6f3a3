"""What people and machines are shown of a diagnosis."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from django.core.management.color import Style

from finops.diagnosis.checks import EXIT_CODES, PageCheck, exit_code
from replication.auth.diagnosis.steps import StepResult

_WIDTH = max(len(check) for check in EXIT_CODES if check is not PageCheck.CONFIGURATION)
_MARGIN = _WIDTH + 19  # columns before the words of a step
_NARROWEST = 40  # columns for the words: on a narrower terminal they are left to break as they will


@dataclass
class Subject:
    """A connection, or the sign-in to the pages, and what was found out about it."""

    name: str
    kind: str  # "connection" or "pages"
    results: list[StepResult] = field(default_factory=list)

    @property
    def failure(self) -> StepResult | None:
        """The step that failed, if one did."""
        return next((result for result in self.results if not result.ok), None)


class Terminal:
    """A line for each step as it ends, handed to ``write``. ``style`` has the colours, if any."""

    def __init__(
        self, write: Callable[[str], object], style: Style, *, columns: int | None = None
    ) -> None:
        self._write, self._style = write, style
        self._room = columns - _MARGIN if columns and columns - _MARGIN >= _NARROWEST else None
        self._begun = False

    def begin(self, subject: Subject) -> None:
        """Show what is looked at now."""
        self._write(
            ("\n" if self._begun else "") + self._style.MIGRATE_HEADING(_one_line(subject.name))
        )
        self._begun = True

    def show(self, result: StepResult) -> None:
        """Show a step, and of a failure its cause and remedy."""
        style = self._style
        mark = style.SUCCESS("ok  ") if result.ok else style.ERROR("FAIL")
        name = "configuration" if result.check is PageCheck.CONFIGURATION else result.check
        first, *more = self._lines(result.detail)
        self._write(f"  {name:<{_WIDTH}}  {mark} {result.milliseconds:>5,.0f} ms  {first}")
        if result.remedy is not None:
            begin, *rest = self._lines(f"-> {result.remedy}")
            more += [style.WARNING(begin), *map(style.WARNING, rest)]
        for line in more:
            self._write(" " * _MARGIN + line)

    def end(self, subjects: Iterable[Subject]) -> None:
        """Sum up."""
        found = list(subjects)
        failed = [(subject.name, subject.failure) for subject in found if subject.failure]
        for name, failure in failed:
            words = (
                f"{_one_line(name)}: failed at '{failure.check}' (exit code {exit_code(failure)})"
            )
            self._write("\n" + self._style.ERROR(words))
        if not failed:
            words = f"All {len(found)} work." if len(found) > 1 else "It works."
            self._write("\n" + self._style.SUCCESS(words))

    def _lines(self, text: str) -> list[str]:
        paragraphs = [_one_line(line) for line in text.split("\n")]
        if self._room is None:
            return paragraphs
        return [part for line in paragraphs for part in wrap(line, self._room) or [""]]


def as_json(subjects: Iterable[Subject], *, version: str, code: int) -> str:
    """Return the whole diagnosis as one JSON object."""
    content = {
        "version": version,
        "ok": code == 0,
        "exit_code": code,
        "subjects": [_subject(subject) for subject in subjects],
    }
    return json.dumps(content, indent=2)


def _subject(subject: Subject) -> dict[str, Any]:
    return {
        "name": subject.name,
        "kind": subject.kind,
        "ok": subject.failure is None,
        "steps": [_step(result) for result in subject.results],
    }


def _step(result: StepResult) -> dict[str, Any]:
    return {
        "step": result.check,
        "ok": result.ok,
        "milliseconds": round(result.milliseconds, 1),
        "detail": result.detail,
        "cause": result.cause,
        "remedy": result.remedy,
        "facts": dict(result.facts),
    }


def _one_line(text: str) -> str:
    """Names come from tokens and DNS: none of them may steer the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
