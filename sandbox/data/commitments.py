"""Reservations and savings plans: their purchases, and what of them was used and was not.

FOCUS's identities hold exactly: a purchase's EffectiveCost is 0, and over a term the EffectiveCost
of the Used and Unused rows is the BilledCost of the purchases.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from random import Random

from sandbox.data.catalogue import service_named
from sandbox.data.company import GMBH, INC, SUBSCRIPTIONS, BillingAccount, made_up_id
from sandbox.data.layout import (
    AT,
    CONSUMED,
    COST,
    ONE,
    PRICED,
    QUANTITY,
    Cells,
    fill_costs,
    number,
    template,
)
from sandbox.data.months import Month, earlier, first_of_next
from sandbox.data.usage import meter_cells, resource_cells

_COMMITTED = AT["CommitmentDiscountQuantity"]


@dataclass(frozen=True)
class Commitment:
    """One commitment. ``begins`` counts months from the first one generated."""

    name: str
    plan: bool  # a savings plan; otherwise a reservation
    account: BillingAccount
    service: str
    meter: int
    begins: int
    years: int
    monthly: bool  # paid month by month; otherwise at once
    payment: int  # each, as a cost
    rate: int  # what a committed hour costs, in hundredths of the contracted price

    @property
    def id(self) -> str:
        """The commitment's path, as Azure writes it."""
        if self.plan:
            order = made_up_id("plan", self.name)
            return f"/providers/Microsoft.BillingBenefits/savingsPlanOrders/{order}"
        order = made_up_id("reservation", self.name)
        return f"/providers/Microsoft.Capacity/reservationOrders/{order}"


COMMITMENTS = (
    # Runs out exactly at the end of the twelfth month, and is bought again.
    Commitment("ri-d4s-2025", False, GMBH, "Virtual Machines", 0, 0, 1, False, 43_800 * ONE, 62),
    Commitment("ri-d4s-2026", False, GMBH, "Virtual Machines", 0, 12, 1, False, 45_260 * ONE, 62),
    Commitment("ri-sql-vcore", False, GMBH, "Azure SQL Database", 0, -14, 3, True, 2_950 * ONE, 55),
    Commitment("sp-compute-us", True, INC, "Virtual Machines", 1, 3, 1, True, 4_200 * ONE, 72),
    Commitment("sp-compute-eu", True, GMBH, "Azure App Service", 0, 2, 3, False, 36_000 * ONE, 68),
)


class Commitments:
    """Makes the rows of all commitments. A commitment's days add up to its months, exactly."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._held = [Held(seed, commitment) for commitment in COMMITMENTS]

    def rows(self, first: date, month: Month, day: date, end: date) -> Iterator[Cells]:
        """The rows of a day; ``first`` is the first day generated, ``end`` the last."""
        random = Random(f"{self._seed}/commitments/{day}")  # noqa: S311 - sample data
        for held in self._held:
            begins = earlier(first, -held.commitment.begins)
            ends = earlier(begins, -12 * held.commitment.years)
            if begins <= month.first < ends:
                if day == month.days[0] and (held.commitment.monthly or month.first == begins):
                    yield held.purchase(month, day)
                yield from held.use(random, month, day, _share(held, begins, ends, month, day, end))


def _share(held: "Held", begins: date, ends: date, month: Month, day: date, end: date) -> int:
    """What a day's rows cost: the payments spread evenly over the days that they pay for."""
    if held.commitment.monthly:
        begins, ends = month.first, first_of_next(month.first)
    total, length = held.commitment.payment, (ends - begins).days
    start, stop = month.span(day, end)
    return total * (stop - begins).days // length - total * (start - begins).days // length


class Held:
    """A commitment with the templates of its rows."""

    def __init__(self, seed: int, commitment: Commitment) -> None:
        random = Random(f"{seed}/{commitment.name}")  # noqa: S311 - sample data
        self.commitment = commitment
        service = service_named(commitment.service)
        self._meter = service.meters[commitment.meter]
        kind = "Savings Plan" if commitment.plan else "Reservation"
        unit = commitment.account.currency if commitment.plan else self._meter.unit
        common = {
            "CommitmentDiscountId": commitment.id,
            "CommitmentDiscountName": commitment.name,
            "CommitmentDiscountCategory": "Spend" if commitment.plan else "Usage",
            "CommitmentDiscountType": kind,
            "CommitmentDiscountUnit": unit,
            "x_SkuTerm": str(12 * commitment.years),
        }
        used = {
            "ChargeCategory": "Usage",
            "ChargeFrequency": "Usage-Based",
            "PricingCategory": "Committed",
            "x_AmortizationClass": "Amortized Charge",
        }
        of_meter = meter_cells(service, self._meter, "")
        owners = [each for each in SUBSCRIPTIONS if each.account is commitment.account]
        self._used = [
            template(
                **owner.cells()
                | of_meter
                | resource_cells(random, 90_000 + place, service, owner)
                | common
                | used
                | {"CommitmentDiscountStatus": "Used", "ConsumedUnit": self._meter.unit}
            )
            for place, owner in enumerate(owners[:3])
        ]
        # What nobody used belongs to no subscription.
        self._unused = template(
            **commitment.account.cells()
            | of_meter
            | common
            | used
            | {"CommitmentDiscountStatus": "Unused"}
        )
        price = number(commitment.payment, COST)
        self._purchase = template(
            **commitment.account.cells()
            | of_meter
            | common
            | {
                "ChargeCategory": "Purchase",
                "ChargeFrequency": "Recurring" if commitment.monthly else "One-Time",
                "ChargeDescription": f"{kind} {commitment.name}, {commitment.years} year",
                "PricingCategory": "Standard",
                "PricingUnit": "1 Month" if commitment.monthly else f"{commitment.years} Year",
                "ListUnitPrice": price,
                "ContractedUnitPrice": price,
                "PricingQuantity": "1",
                "x_AmortizationClass": "Principal",
            }
        )

    def purchase(self, month: Month, day: date) -> Cells:
        """The row of a payment. Its cost is effective when it is used, not now."""
        row = self._purchase.copy()
        rate = month.fill(row, self.commitment.account, day)
        paid = self.commitment.payment
        fill_costs(row, rate, billed=paid, effective=0, listed=paid, contracted=paid)
        return row

    def use(self, random: Random, month: Month, day: date, share: int) -> Iterator[Cells]:
        """Used and unused rows of a day, which cost ``share`` together."""
        busy = 100 if random.random() < 0.6 else 70 + int(random.random() * 30)
        if day.weekday() >= 5:
            busy = busy * 8 // 10
        part = share * busy // 100 // len(self._used)
        left = share - part * len(self._used)
        rest, left = (left, 0) if busy == 100 else (0, left)  # of the division
        for cells in self._used:
            yield self._used_row(cells.copy(), month, day, part + rest)
            rest = 0
        if left:
            row = self._unused.copy()
            rate = month.fill(row, self.commitment.account, day)
            row[PRICED] = "0"  # no use, so nothing that a price list would charge
            row[_COMMITTED] = self._committed(left, self._hours(left))
            fill_costs(row, rate, billed=0, effective=left, listed=0, contracted=0)
            yield row

    def _used_row(self, row: Cells, month: Month, day: date, effective: int) -> Cells:
        rate = month.fill(row, self.commitment.account, day)
        hours = self._hours(effective)
        row[CONSUMED] = row[PRICED] = number(hours, QUANTITY)
        row[_COMMITTED] = self._committed(effective, hours)
        fill_costs(
            row,
            rate,
            billed=0,
            effective=effective,
            listed=hours * self._meter.list_price,
            contracted=hours * self._meter.contracted_price,
        )
        return row

    def _hours(self, effective: int) -> int:
        """How much use this pays for, in ten-thousandths of the meter's unit."""
        return effective * 100 // (self._meter.contracted_price * self.commitment.rate)

    def _committed(self, effective: int, hours: int) -> str:
        return number(effective, COST) if self.commitment.plan else number(hours, QUANTITY)
