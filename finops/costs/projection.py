"""What the month will have cost at its end."""

import calendar
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

from finops.segments.values import EXACT

# Of fewer days, one late invoice would be a third of the month.
FEWEST_DAYS = 3
# More digits would only say how it was divided.
_STEP = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Projection:
    """The end of a month at the pace of its first days."""

    amount: Decimal
    days: int  # that have passed
    of_days: int  # that the month has
    month_before: Decimal | None  # the whole of it; None where the data has nothing of it


def projection(
    month_to_date: Decimal, anchor: date, month_before: Decimal | None
) -> Projection | None:
    """The run rate: month to date ÷ days passed × days of the month.

    Source: VMware's "Cost Overview" (month-to-date cost extrapolated by the days that remain) and
    the FinOps Foundation's "trend-based forecast" at its simplest. It knows no weekdays and no
    seasons, which is why the page states the formula. None on the month's last day, which needs no
    projection, and before ``FEWEST_DAYS`` have passed.
    """
    days = calendar.monthrange(anchor.year, anchor.month)[1]
    if not FEWEST_DAYS <= anchor.day < days:
        return None
    with localcontext(EXACT):
        amount = (month_to_date / anchor.day * days).quantize(_STEP)
        return Projection(amount, anchor.day, days, month_before)
