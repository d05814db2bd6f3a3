"""What commitment discounts cost in the month so far, and how much of them was of use."""

from dataclasses import dataclass
from decimal import Decimal, localcontext

from finops.costs.engine import Engine
from finops.costs.figures import Question
from finops.costs.metrics import Metric
from finops.costs.published import Published
from finops.costs.units import IN_UNIT, US_DOLLARS_BY_AZURE
from finops.costs.visible import filter_of
from finops.segments.values import EXACT


@dataclass(frozen=True, slots=True)
class Commitments:
    """Effective cost of usage, in the current period. Whatever metric the page shows."""

    used: Decimal  # CommitmentDiscountStatus Used
    unused: Decimal  # CommitmentDiscountStatus Unused
    usage: Decimal  # of all usage but the unused
    count: int  # different commitments

    @property
    def utilization(self) -> Decimal | None:
        """Used ÷ (used + unused); None where that is not above zero.

        Source: Microsoft's FinOps toolkit, rate optimization ("covered usage cost ÷ total effective
        commitment cost"); rows with ChargeCategory Usage and a CommitmentDiscountId.
        """
        return _fraction(self.used, self.used + self.unused)

    @property
    def coverage(self) -> Decimal | None:
        """Used ÷ all usage but the unused; None where that is not above zero.

        Source: FOCUS use case "coverage rate", which says to leave the unused out. The data does
        not say what could have been covered, so the denominator is all usage.
        """
        return _fraction(self.used, self.usage)


@dataclass(frozen=True, slots=True)
class Glance:
    """What one look at the current period tells."""

    commitments: Commitments | None  # None where no usage names one
    us_dollars: bool  # whether a row of any currency carries Azure's amounts in US dollars


def glance(question: Question, manifest: Published, engine: Engine) -> Glance:
    """Look at the current period. Raises CostQueryFailed."""
    scan, within = manifest.rollup(question.current, engine.store), filter_of(question.scope)
    column = question.unit.column(Metric.EFFECTIVE)
    dollars = US_DOLLARS_BY_AZURE.column(Metric.BILLED)
    ((used, unused, usage, count, converted),) = engine.fetch(
        f"""
        SELECT coalesce(sum({column}) FILTER (
                   WHERE is_usage AND commitment_discount_status = 'Used'), 0),
               coalesce(sum({column}) FILTER (
                   WHERE is_usage AND commitment_discount_status = 'Unused'), 0),
               coalesce(sum({column}) FILTER (
                   WHERE is_usage AND commitment_discount_status IS DISTINCT FROM 'Unused'), 0),
               count(DISTINCT commitment_discount_id) FILTER (WHERE is_usage),
               count({dollars})
        FROM (SELECT *, charge_category = 'Usage' AND {IN_UNIT} AS is_usage FROM {scan.sql})
        WHERE charge_day >= $start AND charge_day < $end AND {within.sql}
        """,  # noqa: S608 - from the constants above
        {
            **scan.parameters,
            **within.parameters,
            **question.unit.parameters,
            "start": question.current.start,
            "end": question.current.end,
        },
    )
    found = Commitments(used, unused, usage, int(count)) if count else None
    return Glance(found, us_dollars=bool(converted))


def _fraction(part: Decimal, whole: Decimal) -> Decimal | None:
    with localcontext(EXACT):
        return part / whole if whole > 0 else None
