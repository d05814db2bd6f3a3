"""What the explorer asks: which cost, when, by what, of what, against what."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from finops.costs.buckets import Grain
from finops.costs.dimensions import Dimension
from finops.costs.metrics import Metric
from finops.costs.periods import DAY, Period, month_start, months_before

MOST_GROUPS = 2
TOPS = (5, 10, 20, 50, 100, 500)
LONGEST = 3660  # days


class Basis(StrEnum):
    """Which of a row's periods counts."""

    CHARGE = "charge"
    BILLING = "billing"

    @property
    def label(self) -> str:
        """What people read."""
        return f"{self.value.capitalize()} period"


class Comparison(StrEnum):
    """What the period is compared with."""

    NONE = "none"
    PERIOD = "period"
    YEAR = "year"

    @property
    def label(self) -> str:
        """What people read."""
        return {
            Comparison.NONE: "Nothing",
            Comparison.PERIOD: "Previous period",
            Comparison.YEAR: "Previous year",
        }[self]


class Preset(StrEnum):
    """A period that follows the data: each ends with the latest charge day, or before it."""

    THIS_MONTH = "this-month"
    LAST_MONTH = "last-month"
    LAST_7_DAYS = "7-days"
    LAST_30_DAYS = "30-days"
    LAST_90_DAYS = "90-days"
    LAST_3_MONTHS = "3-months"
    LAST_6_MONTHS = "6-months"
    LAST_13_MONTHS = "13-months"
    THIS_YEAR = "this-year"
    LAST_YEAR = "last-year"
    EVERYTHING = "all"

    @property
    def label(self) -> str:
        """What people read."""
        if self is Preset.EVERYTHING:
            return "All data"
        words = self.value.replace("-", " ")
        return f"Last {words}" if words[0].isdigit() else words.capitalize()

    def period(self, data: Period) -> Period:
        """The days that it means, where ``data`` is what there is."""
        anchor = data.last
        month, year = month_start(anchor), date(anchor.year, 1, 1)
        match self:
            case Preset.THIS_MONTH:
                return Period(month, data.end)
            case Preset.LAST_MONTH:
                return Period(months_before(month, 1), month)
            case Preset.LAST_7_DAYS | Preset.LAST_30_DAYS | Preset.LAST_90_DAYS:
                return Period(data.end - DAY * int(self.value.split("-")[0]), data.end)
            case Preset.LAST_3_MONTHS | Preset.LAST_6_MONTHS | Preset.LAST_13_MONTHS:
                count = int(self.value.split("-")[0])
                return Period(months_before(month, count - 1), data.end)
            case Preset.THIS_YEAR:
                return Period(year, data.end)
            case Preset.LAST_YEAR:
                return Period(months_before(year, 12), year)
            case Preset.EVERYTHING:
                return data


class Order(StrEnum):
    """What the table is sorted by."""

    COST = "cost"
    NAME = "name"
    PREVIOUS = "previous"
    DIFFERENCE = "difference"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Filter:
    """Rows whose value of ``dimension`` is one of ``values``; None stands for no value.

    No value at all lets no row through.
    """

    dimension: Dimension
    values: frozenset[str | None]


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that the explorer can be asked, and all of it is in its URL.

    ``when`` is a preset or days of one's own; ``grain`` None leaves it to the length of the period;
    ``currency`` None is the one with the most rows; ``filters`` have one entry a dimension, sorted
    by its key.
    """

    metric: Metric = Metric.EFFECTIVE
    when: Preset | Period = Preset.LAST_30_DAYS
    basis: Basis = Basis.CHARGE
    grain: Grain | None = None
    groups: tuple[Dimension, ...] = ()
    filters: tuple[Filter, ...] = ()
    comparison: Comparison = Comparison.NONE
    cumulative: bool = False
    top: int = 20
    currency: str | None = None
    order: Order = Order.COST
    ascending: bool = False

    def filter_on(self, dimension: Dimension) -> Filter | None:
        """The filter of one dimension."""
        return next((one for one in self.filters if one.dimension == dimension), None)

    def filtered(self, dimension: Dimension, values: frozenset[str | None]) -> tuple[Filter, ...]:
        """The filters with that one in the place of the dimension's own."""
        rest = [one for one in self.filters if one.dimension != dimension]
        return tuple(sorted([*rest, Filter(dimension, values)], key=lambda one: one.dimension.key))

    def unfiltered(self, dimension: Dimension) -> tuple[Filter, ...]:
        """The filters without the dimension's own."""
        return tuple(one for one in self.filters if one.dimension != dimension)


def previous(period: Period) -> Period:
    """What ``period`` is compared with: as many whole months, the same days of months, or days.

    October is compared with September, 1 to 20 October with 1 to 20 September, 1 August to 20
    October with 1 May to 20 July, and any other period with as many days right before it.
    """
    if period.start.day != 1:
        return Period(period.start - DAY * period.days, period.start)
    return _months_earlier(period, _months(period))


def year_before(period: Period) -> Period:
    """The same days a year earlier; 29 February is 28 February there."""
    if period.start.day == 1:
        return _months_earlier(period, 12)
    start = _same_day(period.start, 12)
    return Period(start, max(start, _same_day(period.last, 12) + DAY))


def whole_months(period: Period) -> Period:
    """The months that ``period`` touches, each in full; at least one."""
    last = period.last if period.days else period.start
    return Period(month_start(period.start), months_before(month_start(last), -1))


def _months(period: Period) -> int:
    """How many months it touches; at least one."""
    whole = whole_months(period)
    return (whole.end.year - whole.start.year) * 12 + whole.end.month - whole.start.month


def _months_earlier(period: Period, count: int) -> Period:
    """A period that starts on the first of a month, moved by months; whole months stay whole."""
    start = months_before(period.start, count)
    if period.end.day == 1:
        return Period(start, months_before(period.end, count))
    return Period(start, _same_day(period.last, count) + DAY)


def _same_day(day: date, months: int) -> date:
    """The day of the same number, months earlier, or the last one of a shorter month."""
    first = months_before(month_start(day), months)
    end = months_before(first, -1)
    return min(first + DAY * (day.day - 1), end - DAY)
