"""Nordwind Robotics: its billing accounts, subscriptions and the way it tags."""

import json
import uuid
from dataclasses import dataclass
from random import Random

_NAMESPACE = uuid.UUID("0d6fdc1f-6a70-4a0e-9a2f-51c2b1f5d7a4")


def made_up_id(*name: object) -> str:
    """A GUID that is always the same for the same name."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(map(str, name))))


@dataclass(frozen=True)
class BillingAccount:
    """Who is billed, in which currency."""

    key: str
    name: str
    currency: str

    def cells(self) -> dict[str, str]:
        """The cells that every row of this account has."""
        number = int(made_up_id("account", self.key)[:8], 16)
        profile = f"/providers/Microsoft.Billing/billingAccounts/{number}/billingProfiles/NWR-1"
        return {
            "BillingAccountId": profile,
            "BillingAccountName": self.name,
            "BillingAccountType": "Billing Profile",
            "BillingCurrency": self.currency,
            "PricingCurrency": self.currency,
            "InvoiceIssuerName": "Microsoft",
            "ProviderName": "Microsoft",
            "PublisherName": "Microsoft",
            "x_BillingProfileId": profile,
            "x_BillingProfileName": self.name,
        }


@dataclass(frozen=True)
class Subscription:
    """A sub account. ``weight`` is its share of the company's resources."""

    name: str
    account: BillingAccount
    environment: str
    cost_center: str
    section: str
    team: str
    regions: tuple[str, ...]
    weight: int

    @property
    def id(self) -> str:
        """The subscription's path, as Azure writes it."""
        return f"/subscriptions/{made_up_id('subscription', self.name)}"

    def cells(self) -> dict[str, str]:
        """The cells that every row of this subscription has."""
        return self.account.cells() | {
            "SubAccountId": self.id,
            "SubAccountName": self.name,
            "SubAccountType": "Subscription",
            "x_CostCenter": self.cost_center,
            "x_InvoiceSectionId": made_up_id("section", self.section)[:8].upper(),
            "x_InvoiceSectionName": self.section,
        }


GMBH = BillingAccount("gmbh", "Nordwind Robotics GmbH", "EUR")
INC = BillingAccount("inc", "Nordwind Robotics Inc.", "USD")
ACCOUNTS = (GMBH, INC)

REGIONS = {
    "westeurope": "West Europe",
    "germanywestcentral": "Germany West Central",
    "northeurope": "North Europe",
    "eastus2": "East US 2",
    "westus3": "West US 3",
}
_EU = ("westeurope", "germanywestcentral", "northeurope")
_US = ("eastus2", "westus3")

SUBSCRIPTIONS = tuple(
    Subscription(name, account, env, center, section, team, _EU if account is GMBH else _US, weight)
    for name, account, env, center, section, team, weight in [
        ("nwr-platform-prod", GMBH, "prod", "CC-1000", "Platform", "team-platform", 18),
        ("nwr-platform-test", GMBH, "test", "CC-1000", "Platform", "team-platform", 6),
        ("nwr-fleet-prod", GMBH, "prod", "CC-2100", "Fleet", "team-fleet", 17),
        ("nwr-fleet-dev", GMBH, "dev", "CC-2100", "Fleet", "team-fleet", 7),
        ("nwr-perception-prod", GMBH, "prod", "CC-2200", "Perception", "team-perception", 12),
        ("nwr-perception-dev", GMBH, "dev", "CC-2200", "Perception", "team-perception", 8),
        ("nwr-data-prod", GMBH, "prod", "CC-3000", "Data", "team-data", 10),
        ("nwr-corporate-it", GMBH, "prod", "CC-9000", "Corporate", "team-it", 4),
        ("nwr-us-retail-prod", INC, "prod", "CC-4100", "Retail US", "team-retail", 9),
        ("nwr-us-retail-dev", INC, "dev", "CC-4100", "Retail US", "team-retail", 3),
        ("nwr-us-support", INC, "prod", "CC-4200", "Support US", "team-support", 4),
        ("nwr-us-sandbox", INC, "dev", "CC-4900", "Labs US", "team-labs", 2),
    ]
)

_SPELLINGS = {
    "prod": ("prod", "prod", "prod", "prod", "Prod", "production"),
    "test": ("test", "test", "test", "Test", "tst", "staging"),
    "dev": ("dev", "dev", "dev", "Dev", "development", "dev"),
}
_ENVIRONMENT_KEYS = ("environment",) * 16 + ("Environment", "env", "Env", "ENV")
_CENTER_KEYS = ("cost-center",) * 9 + ("CostCenter",)


def pick(random: Random, *options: str) -> str:
    """One of the options. (``Random.choice`` may choose differently in another Python.)"""
    return options[int(random.random() * len(options))]


def weighted_subscription(random: Random) -> Subscription:
    """A subscription, by weight."""
    left = int(random.random() * sum(each.weight for each in SUBSCRIPTIONS))
    for each in SUBSCRIPTIONS:
        left -= each.weight
        if left < 0:
            return each
    return SUBSCRIPTIONS[0]


def tags(random: Random, subscription: Subscription) -> str:
    """A resource's tags as JSON, with the gaps and spellings of a company that grew."""
    if random.random() < 0.14:
        return ""
    pairs: dict[str, str | bool] = {}
    if random.random() < 0.9:
        key = pick(random, *_ENVIRONMENT_KEYS)
        pairs[key] = pick(random, *_SPELLINGS[subscription.environment])
    if random.random() < 0.75:
        pairs[pick(random, *_CENTER_KEYS)] = subscription.cost_center
    if random.random() < 0.6:
        pairs["owner"] = subscription.team
    if random.random() < 0.35:
        pairs["application"] = pick(random, "navigator", "telemetry", "portal", "charger", "maps")
    if random.random() < 0.05:
        pairs["keep"] = True
    if random.random() < 0.05:
        pairs[" owner"] = subscription.team
    return json.dumps(pairs) if pairs else ""
