"""The thirteen months that are generated, and the days that have rows."""

import functools
from dataclasses import dataclass
from datetime import date, timedelta

from sandbox.data.company import BillingAccount, made_up_id
from sandbox.data.layout import (
    BILLING_END,
    BILLING_START,
    CHARGE_END,
    CHARGE_START,
    EXCHANGE,
    INVOICE,
    RATE,
    Cells,
    number,
)

MONTHS = 13


@functools.lru_cache(maxsize=64)
def first_of_next(month: date) -> date:
    """The first day of the month after."""
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def earlier(month: date, months: int) -> date:
    """The first day of the month so many months before (after, if negative)."""
    count = month.year * 12 + month.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)


@dataclass(frozen=True)
class Month:
    """A billing month. ``index`` counts from the first one; the last one is still open."""

    index: int
    first: date
    days: tuple[date, ...]  # those that have rows, in order

    @property
    def open(self) -> bool:
        """Whether its invoice is still to come."""
        return self.index == MONTHS - 1

    def rate(self, account: BillingAccount) -> int:
        """US dollars for one of the account's currency, in ten-thousandths."""
        if account.currency == "USD":
            return 10_000
        return 10_850 + (self.index * 37 % 11 - 5) * 43

    def fill(self, row: Cells, account: BillingAccount, day: date) -> int:
        """Write the periods and the invoice of a charge of that day; return the exchange rate."""
        rate = self.rate(account)
        row[BILLING_START] = stamp(self.first)
        row[BILLING_END] = stamp(first_of_next(self.first))
        row[CHARGE_START] = stamp(day)
        row[CHARGE_END] = stamp(day + timedelta(days=1))
        row[EXCHANGE] = number(rate, RATE)
        row[INVOICE] = "" if self.open else _invoice(account, self.first)
        return rate

    def span(self, day: date, end: date) -> tuple[date, date]:
        """The days that the rows of ``day`` stand for, half-open.

        They begin after the day before it with rows; the month's last one stands for the rest of
        the month, too, or for what there is of it until ``end``.
        """
        place = self.days.index(day)
        start = self.days[place - 1] + timedelta(days=1) if place else self.first
        if day != self.days[-1]:
            return start, day + timedelta(days=1)
        return start, min(end + timedelta(days=1), first_of_next(self.first))


@functools.lru_cache(maxsize=64)
def _invoice(account: BillingAccount, month: date) -> str:
    return f"G{int(made_up_id('invoice', account.key, month)[:7], 16):09d}"


@functools.lru_cache(maxsize=1024)
def stamp(day: date) -> str:
    """Midnight UTC."""
    return f"{day:%Y-%m-%d}T00:00:00Z"


def months_until(end: date, stride: int) -> list[Month]:
    """The month of ``end`` (the last charge day) and the twelve before it.

    Every ``stride``-th day has rows, ``end`` among them, and each month at least one day.
    """
    start = earlier(end, MONTHS - 1)
    days = [end - timedelta(days=back) for back in range(0, (end - start).days + 1, stride)]
    result = []
    for index in range(MONTHS):
        first = earlier(start, -index)
        own = sorted(day for day in days if day.replace(day=1) == first)
        result.append(Month(index, first, tuple(own or [first])))
    return result
