"""Which services moved most against the same days of the month before, and because of whom."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from finops.costs.engine import Engine
from finops.costs.figures import ZERO, Question, change_of, sum_of
from finops.costs.periods import Period
from finops.costs.published import Published
from finops.costs.units import IN_UNIT
from finops.costs.visible import filter_of

MOVERS = 5


@dataclass(frozen=True, slots=True)
class Reason:
    """The sub account of a service that moved most in the service's direction."""

    sub_account_id: str | None
    sub_account_name: str | None
    change: Decimal


@dataclass(frozen=True, slots=True)
class Mover:
    """A service whose cost moved."""

    service: str | None
    current: Decimal
    previous: Decimal
    fraction: Decimal | None  # of the previous amount; None where that is 0
    reason: Reason

    @property
    def change(self) -> Decimal:
        """How much more it costs; negative where it costs less."""
        return sum_of((self.current, -self.previous))


@dataclass(frozen=True, slots=True)
class Part:
    """One sub account of one service, in both periods."""

    service: str | None
    sub_account_id: str | None
    sub_account_name: str | None
    current: Decimal
    previous: Decimal


def movers(question: Question, manifest: Published, engine: Engine) -> tuple[Mover, ...]:
    """The ``MOVERS`` services that moved most, largest move first; none without a comparison.

    Raises CostQueryFailed.
    """
    if question.previous is None:
        return ()
    period = Period(question.previous.start, question.current.end)
    scan, within = manifest.rollup(period, engine.store), filter_of(question.scope)
    column = question.unit.column(question.metric)
    found = engine.fetch(
        f"""
        WITH parts AS (
            SELECT service_name, sub_account_id, any_value(sub_account_name),
                   coalesce(sum({column}) FILTER (WHERE charge_day >= $current_start), 0) AS now,
                   coalesce(sum({column}) FILTER (WHERE charge_day < $previous_end), 0) AS before
            FROM {scan.sql}
            WHERE charge_day >= $previous_start AND charge_day < $current_end
              AND {IN_UNIT}
              AND {within.sql}
            GROUP BY 1, 2
        ), moved AS (
            SELECT service_name AS service FROM parts GROUP BY 1
            ORDER BY abs(sum(now) - sum(before)) DESC, service IS NULL, service
            LIMIT {MOVERS}
        )
        SELECT parts.* FROM parts JOIN moved ON service_name IS NOT DISTINCT FROM service
        """,  # noqa: S608 - from the constants above
        {
            **scan.parameters,
            **within.parameters,
            **question.unit.parameters,
            "previous_start": question.previous.start,
            "previous_end": question.previous.end,
            "current_start": question.current.start,
            "current_end": question.current.end,
        },
    )
    return largest(Part(*row) for row in found)


def largest(parts: Iterable[Part]) -> tuple[Mover, ...]:
    """The services that moved most, from their parts."""
    services: dict[str | None, list[Part]] = defaultdict(list)
    for part in parts:
        services[part.service].append(part)
    found = [_mover(service, of_service) for service, of_service in services.items()]
    moved = [mover for mover in found if mover.change]
    moved.sort(key=lambda mover: (-abs(mover.change), mover.service is None, mover.service or ""))
    return tuple(moved[:MOVERS])


def _mover(service: str | None, parts: Sequence[Part]) -> Mover:
    current = sum_of(part.current for part in parts)
    previous = sum_of(part.previous for part in parts)
    rising = current >= previous
    moves = [(sum_of((part.current, -part.previous)), part) for part in parts]
    # Of equal moves the first by id, so that a page is the same when it is asked for again.
    moves.sort(key=lambda one: (-one[0] if rising else one[0], one[1].sub_account_id or ""))
    change, part = moves[0] if moves else (ZERO, Part(service, None, None, ZERO, ZERO))
    return Mover(
        service,
        current,
        previous,
        change_of(current, previous),
        Reason(part.sub_account_id, part.sub_account_name, change),
    )
