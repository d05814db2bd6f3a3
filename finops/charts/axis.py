"""Axes that begin, end and step on round numbers."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

_NICE = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


@dataclass(frozen=True, slots=True)
class Axis:
    """A vertical axis from ``low`` to ``high`` (both multiples of ``step``) that includes zero."""

    low: Decimal
    high: Decimal
    step: Decimal

    @property
    def ticks(self) -> tuple[Decimal, ...]:
        """Every multiple of the step, from the lowest to the highest."""
        count = int((self.high - self.low) / self.step)
        return tuple(self.low + self.step * i for i in range(count + 1))

    @property
    def largest(self) -> Decimal:
        """The greatest absolute value on the axis."""
        return max(self.high, -self.low)

    def position(self, value: Decimal) -> float:
        """Return where ``value`` stands: 0 at the top of the axis, 1 at its bottom."""
        return float((self.high - value) / (self.high - self.low))


def nice_axis(lowest: Decimal, highest: Decimal, *, intervals: int = 5) -> Axis:
    """Return an axis of about ``intervals`` steps that holds zero and both values."""
    low, high = min(lowest, Decimal(0)), max(highest, Decimal(0))
    if low == high:
        return Axis(Decimal(0), Decimal(1), Decimal(1))
    step = _nice_step((high - low) / intervals)
    return Axis(
        low=step * (low / step).to_integral_value(ROUND_FLOOR),
        high=step * (high / step).to_integral_value(ROUND_CEILING),
        step=step,
    )


def _nice_step(width: Decimal) -> Decimal:
    magnitude = Decimal(1).scaleb(width.adjusted())
    return next(nice * magnitude for nice in _NICE if nice * magnitude >= width)
