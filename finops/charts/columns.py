"""Stacked columns: one column per period, one segment per series, negatives below the axis."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from finops.charts.axis import Axis, nice_axis

_TOP = 10  # pixels above the highest tick, for half the height of its label
_PLOT = 270  # pixels between the highest and the lowest tick
_LABELS = 40  # pixels below the lowest tick, for two lines of labels
HEIGHT = _TOP + _PLOT + _LABELS

_CHARACTER = 6.9  # pixels: a generous width of a digit in an axis label
_WIDEST_COLUMN = 6.0  # per cent of the plot, so that three columns do not become three walls
_GAP = 1.0  # pixels between segments that are tall enough to spare them
_SEEN = 1.5  # pixels: less than this does not look like a segment
_LABELS_WHEN_NARROW = 7
_LABELS_WHEN_WIDE = 31


@dataclass(frozen=True, slots=True)
class Column:
    """One period: its full name, its short tick, the era (month or year) of the tick, its values.

    ``values`` has one amount per series, in the order in which they are stacked from the axis.
    ``partial`` says that the period has not ended, so that its column is not taken for a fall.
    ``before`` is an amount to compare the column's sum with; it is marked across the column.
    """

    name: str
    tick: str
    era: str
    values: tuple[Decimal, ...]
    partial: bool = False
    before: Decimal | None = None

    @property
    def total(self) -> Decimal:
        """What the column adds up to."""
        return sum(self.values, Decimal(0))

    @property
    def above(self) -> Decimal:
        """The height of the stack above the axis."""
        return sum((value for value in self.values if value > 0), Decimal(0))

    @property
    def below(self) -> Decimal:
        """The depth of the stack below the axis; zero or negative."""
        return sum((value for value in self.values if value < 0), Decimal(0))


def marks_sums(columns: Sequence[Column]) -> bool:
    """Return whether the chart marks the sum of any column, as it does for those on both sides."""
    axis = _axis(columns)
    return any(_marks_sum(column, axis) for column in columns)


def stacked_columns(
    columns: Sequence[Column],
    *,
    colours: Sequence[int],
    tick_label: Callable[[Decimal, Axis], str],
    value_label: Callable[[Decimal], str],
    labelled_by: str,
) -> SafeString:
    """Draw at least one column.

    ``colours`` has the number of the colour class of each series. ``labelled_by`` is the id of the
    element that names the chart. Each column is a list item that can take the focus (one stop in
    the order of tabs; the script moves it with the arrow keys) and names its total.
    """
    axis = _axis(columns)
    parts = [
        *_scale(axis, tick_label),
        f'<svg class="plot" role="group" aria-labelledby="{escape(labelled_by)}"'
        f' width="100%" height="{HEIGHT}">',
        *_grid(axis),
        '<g role="list">',
    ]
    for index, column in enumerate(columns):
        parts += _column(index, column, len(columns), axis, colours, value_label)
    parts += ["</g>", *_ticks(columns), "</svg>"]
    # Every text above is escaped where it is put in; everything else is geometry.
    return mark_safe("".join(parts))  # noqa: S308


def _axis(columns: Sequence[Column]) -> Axis:
    before = [column.before for column in columns if column.before is not None]
    return nice_axis(
        min([column.below for column in columns] + before),
        max([column.above for column in columns] + before),
    )


def _marks_sum(column: Column, axis: Axis) -> bool:
    """Whether both sides can be seen, so that the column's ends do not show its sum."""
    zero = _y(axis, Decimal(0))
    sides = zero - _y(axis, column.above), _y(axis, column.below) - zero
    return min(sides) >= _SEEN


def _y(axis: Axis, value: Decimal) -> float:
    return _TOP + axis.position(value) * _PLOT


def _scale(axis: Axis, tick_label: Callable[[Decimal, Axis], str]) -> Iterator[str]:
    """Yield the labels left of the plot, in a drawing of their own that keeps its width."""
    labels = [(tick, tick_label(tick, axis)) for tick in axis.ticks]
    width = round(max(len(label) for _, label in labels) * _CHARACTER) + 8
    yield f'<svg class="scale" aria-hidden="true" width="{width}" height="{HEIGHT}">'
    for tick, label in labels:
        yield f'<text x="{width - 8}" y="{_y(axis, tick) + 4:.1f}">{escape(label)}</text>'
    yield "</svg>"


def _grid(axis: Axis) -> Iterator[str]:
    yield '<g aria-hidden="true">'
    for tick in axis.ticks:
        y = f"{_y(axis, tick):.1f}"
        name = "zero" if tick == 0 else "grid"
        yield f'<line class="{name}" x1="0" x2="100%" y1="{y}" y2="{y}"/>'
    yield "</g>"


def _column(
    index: int,
    column: Column,
    count: int,
    axis: Axis,
    colours: Sequence[int],
    value_label: Callable[[Decimal], str],
) -> Iterator[str]:
    band = 100 / count
    width = min(band * 0.64, _WIDEST_COLUMN)
    left = band * index
    stop = 0 if index == count - 1 else -1
    name = "column partial" if column.partial else "column"
    yield (
        f'<g class="{name}" role="listitem" tabindex="{stop}" data-row="{index}"'
        f' aria-label="{escape(column.name)}: {escape(value_label(column.total))}">'
        f'<rect class="hit" x="{left:.3f}%" y="{_TOP}" width="{band:.3f}%" height="{_PLOT}"/>'
        f'<svg x="{left + (band - width) / 2:.3f}%" width="{width:.3f}%">'
    )
    yield from _segments(column, axis, colours)
    if _marks_sum(column, axis):
        y = f"{_y(axis, column.total):.1f}"
        yield f'<line class="net" x1="0" x2="100%" y1="{y}" y2="{y}"/>'
    if column.before is not None:
        y = f"{_y(axis, column.before):.1f}"
        yield f'<line class="before" x1="-16%" x2="116%" y1="{y}" y2="{y}"/>'
    yield "</svg></g>"


def _segments(column: Column, axis: Axis, colours: Sequence[int]) -> Iterator[str]:
    above = below = Decimal(0)
    for value, colour in zip(column.values, colours, strict=True):
        if not value:
            continue
        base = above if value > 0 else below
        start, end = _y(axis, base), _y(axis, base + value)
        if value > 0:
            above += value
        else:
            below += value
        height = abs(end - start)
        if base and height > 3 * _GAP:
            height -= _GAP  # on the side of the axis
        top = end if value > 0 else end - height
        yield (
            f'<rect class="c{colour}" y="{top:.1f}" width="100%" height="{max(height, 0.5):.1f}"/>'
        )


def _ticks(columns: Sequence[Column]) -> Iterator[str]:
    """Yield the labels under the columns, thinned so that the last one always stands.

    Those of the class ``wide`` are for wide plots only.
    """
    count = len(columns)
    wide = -(-count // _LABELS_WHEN_WIDE)
    narrow = wide * -(-count // (wide * _LABELS_WHEN_NARROW))
    yield '<g class="ticks" aria-hidden="true">'
    for index, column in enumerate(columns):
        from_last = count - 1 - index
        if from_last % wide:
            continue
        name = ' class="wide"' if from_last % narrow else ""
        yield _tick_text(index, count, _TOP + _PLOT + 18, column.tick, name)
    for index in _era_starts(columns):
        yield _tick_text(index, count, _TOP + _PLOT + 34, columns[index].era, ' class="era"')
    yield "</g>"


def _tick_text(index: int, count: int, y: int, text: str, attribute: str) -> str:
    x = 100 * (index + 0.5) / count
    return f'<text{attribute} x="{x:.3f}%" y="{y}">{escape(text)}</text>'


def _era_starts(columns: Sequence[Column]) -> list[int]:
    """Return where the era changes; the first one gives way to a second that is too close."""
    starts = [
        index
        for index, column in enumerate(columns)
        if index == 0 or column.era != columns[index - 1].era
    ]
    if len(starts) > 1 and starts[1] < len(columns) * 0.14:
        starts = starts[1:]
    return starts
