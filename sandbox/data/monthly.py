"""What comes once a month: subscriptions to things, credits, corrections and tax."""

from collections.abc import Iterator
from datetime import date
from random import Random

from sandbox.data.company import GMBH, INC, SUBSCRIPTIONS
from sandbox.data.layout import AT, COST, ONE, Cells, fill_costs, number, template
from sandbox.data.months import Month
from sandbox.data.usage import Charged

_CREDITED_MONTHS = 9
# In hundredths of a percent, on the services named, by account.
_TAX = {GMBH.key: 1900, INC.key: 825}
_TAXED = frozenset({"Azure DevOps", "Azure App Service"})
_CENT = ONE // 100

_CORPORATE, _SUPPORT_US = SUBSCRIPTIONS[7], SUBSCRIPTIONS[10]


def _bought(name: str, price: int, frequency: str, **cells: str) -> Cells:
    """The template of a purchase that covers nothing but itself."""
    return template(
        **_CORPORATE.cells()
        | {
            "ChargeCategory": "Purchase",
            "ChargeFrequency": frequency,
            "ChargeDescription": name,
            "PricingCategory": "Standard",
            "PricingUnit": "1 Month",
            "PricingQuantity": "1",
            "ListUnitPrice": number(price, COST),
            "ContractedUnitPrice": number(price, COST),
        }
        | cells
    )


_SUPPORT_PRICE, _SAAS_PRICE, _DOMAIN_PRICE = 1_000 * ONE, 1_850 * ONE, 1_199 * _CENT
_SUPPORT = _bought(
    "Professional Direct Support",
    _SUPPORT_PRICE,
    "Recurring",
    ServiceName="Azure Support",
    ServiceCategory="Management and Governance",
    ServiceSubcategory="Support",
    x_SkuMeterCategory="Support",
)
_SAAS = _bought(
    "Northlight Observability, 50 hosts",
    _SAAS_PRICE,
    "Recurring",
    ServiceName="Azure Marketplace",
    ServiceCategory="Management and Governance",
    ServiceSubcategory="Observability",
    PublisherName="Northlight Software",
    x_SkuMeterCategory="SaaS",
)
_DOMAIN = _bought(
    "App Service Domain nordwind-robotics.example",
    _DOMAIN_PRICE,
    "One-Time",
    ServiceName="Azure App Service",
    ServiceCategory="Web",
    ServiceSubcategory="Application Platforms",
    PricingUnit="1 Year",
    x_SkuMeterCategory="Azure App Service",
)
_CREDIT = template(
    **_SUPPORT_US.cells()
    | {
        "ChargeCategory": "Credit",
        "ChargeFrequency": "Recurring",
        "ChargeDescription": "Azure migration offer",
        "ServiceName": "Virtual Machines",
        "ServiceCategory": "Compute",
        "ServiceSubcategory": "Virtual Machines",
    }
)
_TAX_CELLS = {
    "ChargeCategory": "Tax",
    "ChargeFrequency": "Recurring",
    "ChargeDescription": "Tax on developer tools and web platforms",
    "ServiceName": "Azure App Service",
    "ServiceCategory": "Web",
    "ServiceSubcategory": "Application Platforms",
}
_NOT_IN_CORRECTIONS = [
    AT[name]
    for name in (
        *("ConsumedQuantity", "ConsumedUnit", "PricingQuantity", "PricingUnit"),
        *("ListUnitPrice", "ContractedUnitPrice"),
    )
]
_CHARGE_CLASS, _DESCRIPTION = AT["ChargeClass"], AT["ChargeDescription"]


class Monthly:
    """Makes a month's single rows, and remembers what they are derived from."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._taxed: dict[str, int] = {}  # account -> effective cost
        self._last: list[tuple[Charged, Cells, int, date]] = []  # of the month before
        self._now: list[tuple[Charged, Cells, int, date]] = []

    def remember(self, charged: Charged, row: Cells, effective: int, day: date) -> None:
        """Note a row of use: tax and later corrections are about these."""
        if charged.service.name in _TAXED:
            key = charged.account.key
            self._taxed[key] = self._taxed.get(key, 0) + effective
        if len(self._now) < 40 and not charged.service.third_party:
            self._now.append((charged, row, effective, day))

    def opening(self, month: Month, day: date) -> Iterator[Cells]:
        """The rows of a month's first day."""
        self._last, self._now = self._now, []
        yield _purchase(month, day, _SUPPORT, _SUPPORT_PRICE, billed=_SUPPORT_PRICE)
        # Third parties are paid themselves: such a charge is never billed, but has its effect.
        yield _purchase(month, day, _SAAS, _SAAS_PRICE, billed=0)
        if month.index in {1, 7}:
            yield _purchase(month, day, _DOMAIN, _DOMAIN_PRICE, billed=_DOMAIN_PRICE)
        if month.index < _CREDITED_MONTHS:
            row = _CREDIT.copy()
            rate = month.fill(row, INC, day)
            fill_costs(row, rate, billed=-900 * ONE, effective=-900 * ONE, listed=0, contracted=0)
            yield row
        yield from self._corrections(month)

    def closing(self, month: Month, day: date) -> Iterator[Cells]:
        """The tax, on the last day of a month that is invoiced."""
        if month.open or day != month.days[-1]:
            return
        for account in (GMBH, INC):
            taxed = self._taxed.pop(account.key, 0)
            tax = taxed * _TAX[account.key] // 10_000 // _CENT * _CENT
            if tax:
                row = template(**account.cells() | _TAX_CELLS)
                rate = month.fill(row, account, day)
                fill_costs(row, rate, billed=tax, effective=tax, listed=tax, contracted=tax)
                yield row

    def _corrections(self, month: Month) -> Iterator[Cells]:
        """Refunds of single charges of the month before, and now and then a late charge."""
        random = Random(f"{self._seed}/corrections/{month.index}")  # noqa: S311 - sample data
        for charged, before, effective, day in self._last:
            if random.random() < 0.08:
                row = before.copy()
                rate = month.fill(row, charged.account, day)
                row[_CHARGE_CLASS] = "Correction"
                row[_DESCRIPTION] = f"Correction of {day:%Y-%m-%d}: {row[_DESCRIPTION]}"
                part = -(effective // 2) if random.random() < 0.8 else effective // 5
                part = part // _CENT * _CENT
                for place in _NOT_IN_CORRECTIONS:
                    row[place] = ""
                fill_costs(row, rate, billed=part, effective=part, listed=part, contracted=part)
                yield row


def _purchase(month: Month, day: date, cells: Cells, price: int, *, billed: int) -> Cells:
    row = cells.copy()
    rate = month.fill(row, GMBH, day)
    fill_costs(row, rate, billed=billed, effective=price, listed=price, contracted=price)
    return row
