"""Sparklines: the course of a few values, without axes, beside the numbers that name them."""

from collections.abc import Sequence
from decimal import Decimal

from django.utils.safestring import SafeString, mark_safe

_WIDTH = 96
_HEIGHT = 28
_MARGIN = 3


def sparkline(values: Sequence[Decimal]) -> SafeString:
    """Draw the course of ``values``, the last one dotted; nothing when there are none.

    It is hidden from screen readers: the table around it has the numbers.
    """
    if not values:
        return mark_safe("")
    points = _points([float(value) for value in values])
    last_x, last_y = points[-1]
    parts = [
        f'<svg class="sparkline" aria-hidden="true" focusable="false"'
        f' width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
    ]
    if len(points) > 1:
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        first_x = points[0][0]
        area = f"{first_x:.1f},{_HEIGHT} {line} {last_x:.1f},{_HEIGHT}"
        parts.append(f'<polygon points="{area}"/><polyline points="{line}"/>')
    parts.append(f'<circle cx="{last_x:.1f}" cy="{last_y:.1f}" r="2.2"/></svg>')
    return mark_safe("".join(parts))  # noqa: S308 - numbers only


def _points(values: Sequence[float]) -> list[tuple[float, float]]:
    low, high = min(values), max(values)
    width = (_WIDTH - 2 * _MARGIN) / max(len(values) - 1, 1)
    height = _HEIGHT - 2 * _MARGIN

    def y(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return _HEIGHT - _MARGIN - share * height

    if len(values) == 1:
        return [(_WIDTH - _MARGIN, y(values[0]))]
    return [(_MARGIN + i * width, y(value)) for i, value in enumerate(values)]
