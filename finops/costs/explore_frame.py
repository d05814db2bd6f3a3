"""From a question to its days: the period, what it is compared with, and the steps between."""

from dataclasses import dataclass
from datetime import date

from finops.costs.buckets import Bucket, Grain
from finops.costs.periods import DAY, Period, month_start, months_before
from finops.costs.question import (
    Basis,
    Comparison,
    Preset,
    Question,
    previous,
    whole_months,
    year_before,
)

BY_DAY_UNASKED = 62  # days: longer periods are shown by month unless days are asked for
LONGEST_BY_DAY = 190  # days: of more, no column can be told from its neighbours


@dataclass(frozen=True, slots=True)
class Frame:
    """The time axis of an answer.

    Each bucket is a day, or what the period has of a month. ``previous`` is None where nothing is
    compared.
    """

    basis: Basis
    grain: Grain
    period: Period
    previous: Period | None
    buckets: tuple[Bucket, ...]

    @property
    def monthly_before(self) -> date | None:
        """The day before which months are as good as their days; None where they never are.

        They are where no period begins within a month, and none ends within a month of the other.
        """
        if self.grain == "day":
            return None
        if self.basis is Basis.BILLING:
            return date.max
        apart = self.previous is None or (
            self.previous.end.day == 1 or self.previous.end <= self.period.start
        )
        starts = all(period.start.day == 1 for period in self.periods)
        return self.period.end if apart and starts else None

    @property
    def periods(self) -> tuple[Period, ...]:
        """The periods that are read."""
        return (self.period,) if self.previous is None else (self.period, self.previous)

    def place(self, moment: date) -> int:
        """The bucket, by number, of a moment (as the query truncates it) of the period."""
        return self._distance(moment, self.period)

    def previous_place(self, moment: date) -> int:
        """The bucket beside which a moment of the previous period stands; may be beyond the last.

        Days stand beside days, months beside months, each counted from its period's start.
        """
        return 0 if self.previous is None else self._distance(moment, self.previous)

    def _distance(self, moment: date, period: Period) -> int:
        if self.grain == "day":
            return (moment - period.start).days
        first = period.start
        return (moment.year - first.year) * 12 + moment.month - first.month


def frame_of(question: Question, data: Period) -> Frame:
    """The time axis of ``question``, where ``data`` is the span of what there is."""
    period = question.when
    if isinstance(period, Preset):
        period = period.period(data)
    if question.basis is Basis.BILLING:
        period = whole_months(period)
    grain = grain_of(question, period)
    return Frame(
        basis=question.basis,
        grain=grain,
        period=period,
        previous=_previous(question.comparison, period),
        buckets=_buckets(period, grain),
    )


def grain_of(question: Question, period: Period) -> Grain:
    """By day where that was asked for or the period is short; a billing period is a month."""
    if question.basis is Basis.BILLING or period.days > LONGEST_BY_DAY:
        return "month"
    if question.grain is None:
        return "day" if period.days <= BY_DAY_UNASKED else "month"
    return question.grain


def _previous(comparison: Comparison, period: Period) -> Period | None:
    match comparison:
        case Comparison.NONE:
            return None
        case Comparison.PERIOD:
            return previous(period)
        case Comparison.YEAR:
            return year_before(period)


def _buckets(period: Period, grain: Grain) -> tuple[Bucket, ...]:
    if grain == "day":
        days = (period.start + DAY * offset for offset in range(period.days))
        return tuple(Bucket(f"{day.day} {day:%b %Y}", day, day + DAY) for day in days)
    buckets = []
    month = month_start(period.start)
    while month < period.end:
        following = months_before(month, -1)
        start, end = max(month, period.start), min(following, period.end)
        buckets.append(Bucket(f"{month:%b %Y}", start, end))
        month = following
    return tuple(buckets)
