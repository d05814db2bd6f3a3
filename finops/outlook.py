"""What stands beside the overview's figures: the end of the month, what moved, and commitments."""

from dataclasses import dataclass
from decimal import Decimal

from finops.costs.commitments import Commitments
from finops.costs.figures import change_of
from finops.costs.movers import Mover
from finops.costs.overview import Overview, Projection
from finops.formatting import Amount, Change, change, money, percent

WITHOUT_SERVICE = "No service named"
WITHOUT_SUB_ACCOUNT = "no sub account"


@dataclass(frozen=True, slots=True)
class ProjectionCard:
    """The month's end at the pace so far."""

    amount: Amount
    formula: str
    change: Change | None
    comparison: str


@dataclass(frozen=True, slots=True)
class MoverLine:
    """A service that moved, and because of whom. ``sign`` and ``amount`` are its change."""

    service: str
    change: Change | None
    moved: str
    exact: str
    reason: str


@dataclass(frozen=True, slots=True)
class CommitmentsCard:
    """How much of the commitments was of use. Bars are widths in per cent."""

    utilization: str
    bar: str
    used: Amount
    unused: Amount
    coverage: str
    count: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """The three cards; ``early`` says why there is no projection."""

    projection: ProjectionCard | None
    early: str
    movers: tuple[MoverLine, ...]
    commitments: CommitmentsCard | None


def outlook(overview: Overview) -> Outlook:
    """Turn the figures into what the cards show."""
    currency = overview.currency
    found, commitments = overview.projection, overview.commitments
    return Outlook(
        projection=_projection(found, overview) if found else None,
        early="The month is over." if overview.anchor.day > 3 else "It is too early in the month.",
        movers=tuple(_mover(mover, currency) for mover in overview.movers),
        commitments=_commitments(commitments, currency) if commitments else None,
    )


def _projection(found: Projection, overview: Overview) -> ProjectionCard:
    before = found.month_before
    return ProjectionCard(
        amount=Amount(found.amount, overview.currency),
        formula=f"month to date ÷ {found.days} days × {found.of_days} days",
        change=change(
            current=found.amount, previous=before, fraction=change_of(found.amount, before)
        ),
        comparison=f"against all of {overview.previous.start:%b}" if before is not None else "",
    )


def _mover(mover: Mover, currency: str) -> MoverLine:
    return MoverLine(
        service=mover.service if mover.service is not None else WITHOUT_SERVICE,
        change=change(current=mover.current, previous=mover.previous, fraction=mover.fraction),
        moved=_signed(mover.change, currency),
        exact=f"{mover.change:f}",
        reason=_reason(mover, currency),
    )


def _reason(mover: Mover, currency: str) -> str:
    reason = mover.reason
    name = reason.sub_account_name or reason.sub_account_id or WITHOUT_SUB_ACCOUNT
    if reason.change == mover.change:
        return f"all of it in {name}"
    return f"most in {name}: {_signed(reason.change, currency)}"


def _signed(amount: Decimal, currency: str) -> str:
    return f"+{money(amount, currency)}" if amount > 0 else money(amount, currency)


def _commitments(found: Commitments, currency: str) -> CommitmentsCard:
    used = found.utilization
    width = min(max(used or Decimal(0), Decimal(0)), Decimal(1)) * 100
    noun = "commitment" if found.count == 1 else "commitments"
    return CommitmentsCard(
        utilization=percent(used) if used is not None else "–",
        bar=f"{width:.2f}",
        used=Amount(found.used, currency),
        unused=Amount(found.unused, currency),
        coverage=percent(found.coverage) if found.coverage is not None else "–",
        count=f"{found.count:,} {noun}",
    )
