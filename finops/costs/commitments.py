"""What commitment discounts cost in the month so far, and how much of them was of use."""

from dataclasses import dataclass
from decimal import Decimal, localcontext

from finops.costs.engine import Engine
from finops.costs.figures import Question
from finops.costs.metrics import Metric
from finops.costs.published import Published
from finops.costs.units import IN_UNIT
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


def commitments(question: Question, manifest: Published, engine: Engine) -> Commitments | None:
    """Those of the current period; None where no usage names one. Raises CostQueryFailed."""
    scan, within = manifest.rollup(question.current, engine.store), filter_of(question.scope)
    column = question.unit.column(Metric.EFFECTIVE)
    ((used, unused, usage, count),) = engine.fetch(
        f"""
        SELECT coalesce(sum({column}) FILTER (WHERE commitment_discount_status = 'Used'), 0),
               coalesce(sum({column}) FILTER (WHERE commitment_discount_status = 'Unused'), 0),
               coalesce(sum({column})
                   FILTER (WHERE commitment_discount_status IS DISTINCT FROM 'Unused'), 0),
               count(DISTINCT commitment_discount_id)
        FROM {scan.sql}
        WHERE charge_day >= $start AND charge_day < $end
          AND charge_category = 'Usage'
          AND {IN_UNIT}
          AND {within.sql}
        """,  # noqa: S608 - from the constants above
        {
            **scan.parameters,
            **within.parameters,
            **question.unit.parameters,
            "start": question.current.start,
            "end": question.current.end,
        },
    )
    return Commitments(used, unused, usage, int(count)) if count else None


def _fraction(part: Decimal, whole: Decimal) -> Decimal | None:
    with localcontext(EXACT):
        return part / whole if whole > 0 else None
