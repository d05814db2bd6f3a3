"""The explorer: any metric, over any days, by any one or two dimensions, of any part of the rows.

The table is the answer, and the chart draws its lines: both add up to the same total, to the last
digit. Rows without a value of a dimension are a group of their own; the groups beyond the largest
are one line together.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, localcontext
from itertools import accumulate

from accounts.scopes import Scope
from finops.costs.engine import engine
from finops.costs.explore_frame import Frame
from finops.costs.explore_sql import Cell, Key, read_cells, source_of
from finops.costs.explore_visit import visit
from finops.costs.figures import change_of
from finops.costs.kept import Kept
from finops.costs.periods import Period
from finops.costs.published import Kind
from finops.costs.question import Comparison, Order, Question
from finops.costs.units import Unit
from finops.models import Dataset
from finops.segments.values import EXACT

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Line:
    """One group's cost, or that of all groups beyond the largest, or the total. Amounts are exact.

    ``previous`` is None where nothing is compared. ``change`` is a fraction of ``previous``; None
    where that is zero or absent.
    """

    key: Key | None  # one value a dimension; None for the others together and for the total
    cost: Decimal
    previous: Decimal | None
    rows: int
    missing_rows: int  # in which the metric is null: they add nothing
    steps: tuple[Decimal, ...]  # per bucket; running sums where the question is cumulative
    groups: int = 1  # how many groups it stands for

    @property
    def difference(self) -> Decimal | None:
        """How much more than before."""
        if self.previous is None:
            return None
        with localcontext(EXACT):
            return self.cost - self.previous

    @property
    def change(self) -> Decimal | None:
        """The difference as a fraction of what was before."""
        return change_of(self.cost, self.previous)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question, in one currency, within a scope.

    ``lines`` are sorted as asked; ``rest`` sums the groups beyond the largest, None where there are
    none. Nothing in it depends on a row outside the scope.
    """

    question: Question
    dataset: str
    version: int
    built_at: datetime
    unit: Unit
    currencies: tuple[str, ...]  # those with rows, most rows first
    convertible: bool  # whether Azure's amounts in US dollars are an additional choice
    data: Period  # the span of all charge days, whatever the filters
    frame: Frame
    lines: tuple[Line, ...]
    rest: Line | None
    total: Line
    previous_steps: tuple[Decimal, ...] | None  # per bucket, as ``Line.steps``
    read: Kind  # whether the roll-up answered or the rows

    @property
    def currency(self) -> str:
        """What its amounts are written in."""
        return self.unit.currency


@dataclass(slots=True)
class _Sum:
    """A line in the making."""

    key: Key | None
    steps: list[Decimal]
    cost: Decimal = ZERO
    previous: Decimal = ZERO
    rows: int = 0
    missing: int = 0
    groups: int = 0

    def add(self, cell: Cell, frame: Frame) -> None:
        if cell.in_current:
            self.cost += cell.amount
            self.steps[frame.place(cell.step)] += cell.amount
            self.rows += cell.rows
            self.missing += cell.missing
        if cell.in_previous:
            self.previous += cell.amount


# A few tens of megabytes: an amount takes about a hundred bytes.
_answers: Kept[Answer] = Kept(
    200_000, weight=lambda answer: 100 + len(answer.lines) * len(answer.frame.buckets)
)


def explore(dataset: Dataset, scope: Scope, question: Question) -> Answer:
    """Answer ``question`` from the rows of ``dataset`` within ``scope``.

    Its currency may be ``units.CONVERTED``. One that the scope does not have gives the one with the
    most rows, which the answer names. Kept in the process until the data set has a new version.
    Raises NoCostData when the data set has no charges, NoCostsInScope when none is within a scope
    that is not all, and CostQueryFailed.
    """
    unsorted = replace(question, order=Order.COST, ascending=False)
    key = (dataset.pk, dataset.version, dataset.published_at, scope, unsorted)
    answer = _answers.get(key, lambda: _explore(dataset, scope, unsorted))
    return replace(answer, question=question, lines=_sorted(answer.lines, question))


def _explore(dataset: Dataset, scope: Scope, question: Question) -> Answer:
    found = visit(dataset, scope, question)
    source = source_of(
        found.selection,
        found.manifest,
        engine(),
        dimensions=question.groups,
        monthly_before=found.frame.monthly_before,
    )
    cells = (
        read_cells(
            source,
            found.frame,
            engine(),
            groups=question.groups,
            measure=found.unit.column(question.metric),
            top=question.top,
        )
        if source is not None
        else []
    )
    with localcontext(EXACT):
        total, groups, rest = _sums(cells, found.frame)
        return Answer(
            question=question,
            dataset=dataset.name,
            version=dataset.version,
            built_at=found.built_at,
            unit=found.unit,
            convertible=found.convertible,
            currencies=tuple(found.rows.by_currency),
            data=found.rows.span,
            frame=found.frame,
            lines=tuple(_line(one, question) for one in groups),
            rest=_line(rest, question) if rest.groups else None,
            total=_line(total, question),
            previous_steps=_previous_steps(cells, found.frame, cumulative=question.cumulative),
            read="rollup" if source is None else source.kind,
        )


def _sums(cells: Iterable[Cell], frame: Frame) -> tuple[_Sum, list[_Sum], _Sum]:
    """The total, each of the largest groups, and the others together."""

    def empty(key: Key | None) -> _Sum:
        return _Sum(key, [ZERO] * len(frame.buckets))

    total, rest = empty(None), empty(None)
    groups: dict[int, _Sum] = {}
    count = 0
    for cell in cells:
        count = cell.groups
        total.add(cell, frame)
        if cell.key is None:
            rest.add(cell, frame)
            rest.groups = 1
        else:
            groups.setdefault(cell.place, empty(cell.key)).add(cell, frame)
    total.groups = count
    if rest.groups:
        rest.groups = count - len(groups)
    return total, list(groups.values()), rest


def _line(found: _Sum, question: Question) -> Line:
    return Line(
        key=found.key,
        cost=found.cost,
        previous=found.previous if question.comparison is not Comparison.NONE else None,
        rows=found.rows,
        missing_rows=found.missing,
        steps=_running(found.steps) if question.cumulative else tuple(found.steps),
        groups=found.groups if found.key is None else 1,
    )


def _previous_steps(
    cells: Iterable[Cell], frame: Frame, *, cumulative: bool
) -> tuple[Decimal, ...] | None:
    """The total before, beside each bucket; a previous month may have more days than this one."""
    if frame.previous is None:
        return None
    steps = [ZERO] * len(frame.buckets)
    for cell in cells:
        place = frame.previous_place(cell.step) if cell.in_previous else len(steps)
        if place < len(steps):
            steps[place] += cell.amount
    return _running(steps) if cumulative else tuple(steps)


def _running(steps: Sequence[Decimal]) -> tuple[Decimal, ...]:
    return tuple(accumulate(steps))


_KEYS: dict[Order, Callable[[Line], Decimal]] = {
    Order.COST: lambda line: line.cost,
    Order.PREVIOUS: lambda line: line.previous or ZERO,
    Order.DIFFERENCE: lambda line: line.difference or ZERO,
    Order.CHANGE: lambda line: line.change if line.change is not None else _from_nothing(line),
}


def _from_nothing(line: Line) -> Decimal:
    """What was nothing before changed more than anything else, unless it still is nothing."""
    return Decimal(line.cost.compare(ZERO)) * 10**9


def _by_name(line: Line) -> tuple[tuple[bool, str, str], ...]:
    """In alphabetical order whatever the case; without a value last."""
    return tuple((one is None, (one or "").casefold(), one or "") for one in line.key or ())


def _sorted(lines: Sequence[Line], question: Question) -> tuple[Line, ...]:
    """As asked; equal ones by name. Sorting is stable, so the name comes first."""
    lines = sorted(lines, key=_by_name)
    compared = question.comparison is not Comparison.NONE
    order = question.order if compared or question.order is Order.NAME else Order.COST
    if order is Order.NAME:
        return tuple(lines if question.ascending else reversed(lines))
    return tuple(sorted(lines, key=_KEYS[order], reverse=not question.ascending))
