"""FOCUS: the columns of a cost row, their types, and what may stand in them.

The model is FOCUS 1.2 of the FinOps Foundation (https://focus.finops.org): 1.0 and 1.1 are read as
subsets of it, and the columns that 1.3 and 1.4 added are known by name and type. Column names stay
PascalCase in files and documents; ``Column.field`` is the same name in Python and in segments.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType


class Version(IntEnum):
    """A release of the specification; the value is its place in a column's levels."""

    V1_0 = 0
    V1_1 = 1
    V1_2 = 2
    V1_3 = 3
    V1_4 = 4


class Level(StrEnum):
    """How strictly a release asks for a column."""

    MANDATORY = "M"
    CONDITIONAL = "C"
    RECOMMENDED = "R"
    ABSENT = "-"


class Kind(StrEnum):
    """What a column's cells are."""

    TEXT = "text"
    CURRENCY = "currency"  # a code of ISO 4217
    DECIMAL = "decimal"
    PRICE = "price"  # a decimal that is never negative
    TIMESTAMP = "timestamp"
    KEY_VALUE = "key_value"  # a flat JSON object, such as tags
    JSON = "json"  # any JSON object


@dataclass(frozen=True)
class Column:
    """One column. ``levels`` has one entry per ``Version``; none for columns outside FOCUS."""

    name: str
    kind: Kind = Kind.TEXT
    nullable: bool = True
    levels: tuple[Level, ...] = ()
    allowed: frozenset[str] = frozenset()

    @property
    def field(self) -> str:
        """The column's name in Python: ``x_SkuTerm`` is ``x_sku_term``."""
        return _WORD_START.sub("_", self.name).lower()

    def level(self, version: Version) -> Level:
        """How strictly ``version`` asks for this column."""
        return self.levels[version] if self.levels else Level.ABSENT


_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_SUBCATEGORIES = """
AI and Machine Learning: AI Platforms, Bots, Generative AI, Machine Learning, Natural Language \
Processing
Analytics: Analytics Platforms, Business Intelligence, Data Processing, Search, Streaming Analytics
Business Applications: Productivity and Collaboration
Compute: Containers, End User Computing, Quantum Compute, Serverless Compute, Virtual Machines
Databases: Caching, Data Warehouses, Ledger Databases, NoSQL Databases, Relational Databases, Time \
Series Databases
Developer Tools: Developer Platforms, Continuous Integration and Deployment, Development \
Environments, Source Code Management, Quality Assurance
Identity: Identity and Access Management
Integration: API Management, Messaging, Workflow Orchestration
Internet of Things: IoT Analytics, IoT Platforms
Management and Governance: Architecture, Compliance, Cost Management, Data Governance, Disaster \
Recovery, Endpoint Management, Observability, Support
Media: Content Creation, Gaming, Media Streaming, Mixed Reality
Migration: Data Migration, Resource Migration
Mobile:
Multicloud: Multicloud Integration
Networking: Application Networking, Content Delivery, Network Connectivity, Network \
Infrastructure, Network Routing, Network Security
Security: Secret Management, Security Posture Management, Threat Detection and Response
Storage: Backup Storage, Block Storage, File Storage, Object Storage, Storage Platforms
Web: Application Platforms
Other:
"""


def _subcategories() -> dict[str, str]:
    parents = {}
    for line in _SUBCATEGORIES.strip().splitlines():
        category, _, names = line.partition(":")
        for name in filter(None, map(str.strip, names.split(","))):
            parents[name] = category
        parents[f"Other ({category})"] = category
    return parents


# Service subcategory -> the one service category that it belongs to (FOCUS 1.2, 82 of them).
SUBCATEGORY_PARENTS: Mapping[str, str] = MappingProxyType(_subcategories())

# Allowed values of FOCUS 1.2.
_ALLOWED = {
    "CapacityReservationStatus": {"Used", "Unused"},
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "CommitmentDiscountCategory": {"Spend", "Usage"},
    "CommitmentDiscountStatus": {"Used", "Unused"},
    "PricingCategory": {"Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": set(SUBCATEGORY_PARENTS.values()),
    "ServiceSubcategory": set(SUBCATEGORY_PARENTS),
}

# Name, kind, whether it may be null, and the level in 1.0, 1.1, 1.2, 1.3 and 1.4.
_COLUMNS = """
AllocatedMethodDetails              json       null  ---RR
AllocatedMethodId                   text       null  ---CC
AllocatedResourceId                 text       null  ---CC
AllocatedResourceName               text       null  ---CC
AllocatedTags                       key_value  null  ---CC
AvailabilityZone                    text       null  RRRRR
BilledCost                          decimal    -     MMMMM
BillingAccountId                    text       -     MMMMM
BillingAccountName                  text       null  MMMMM
BillingAccountType                  text       -     --CCC
BillingCurrency                     currency   -     MMMMM
BillingPeriodEnd                    timestamp  -     MMMMM
BillingPeriodStart                  timestamp  -     MMMMM
CapacityReservationId               text       null  -CCCC
CapacityReservationStatus           text       null  -CCCC
ChargeCategory                      text       -     MMMMM
ChargeClass                         text       null  MMMMM
ChargeDescription                   text       null  MMMMM
ChargeFrequency                     text       -     RRRRR
ChargePeriodEnd                     timestamp  -     MMMMM
ChargePeriodStart                   timestamp  -     MMMMM
CommitmentDiscountCategory          text       null  CCCCC
CommitmentDiscountId                text       null  CCCCC
CommitmentDiscountName              text       null  CCCCC
CommitmentDiscountQuantity          decimal    null  -CCCC
CommitmentDiscountStatus            text       null  CCCCC
CommitmentDiscountType              text       null  CCCCC
CommitmentDiscountUnit              text       null  -CCCC
CommitmentProgramEligibilityDetails json       null  ----C
ConsumedQuantity                    decimal    null  CCCCC
ConsumedUnit                        text       null  CCCCC
ContractApplied                     json       null  ---CC
ContractedCost                      decimal    -     MMMMM
ContractedUnitPrice                 price      null  CCCCC
EffectiveCost                       decimal    -     MMMMM
HostProviderName                    text       null  ---MM
InvoiceDetailId                     text       null  ----C
InvoiceId                           text       null  --RCC
InvoiceIssuerName                   text       -     MMMMM
ListCost                            decimal    -     MMMMM
ListUnitPrice                       price      null  CCCCC
PricingCategory                     text       null  CCCCC
PricingCurrency                     text       null  --CCC
PricingCurrencyContractedUnitPrice  price      null  --CCC
PricingCurrencyEffectiveCost        decimal    null  --CCC
PricingCurrencyListUnitPrice        price      null  --CCC
PricingQuantity                     decimal    null  MMMMM
PricingUnit                         text       null  MMMMM
ProviderName                        text       -     MMMM-
PublisherName                       text       -     MMMM-
RegionId                            text       null  CCCCC
RegionName                          text       null  CCCCC
ResourceId                          text       null  CCCCC
ResourceName                        text       null  CCCCC
ResourceType                        text       null  CCCCC
ServiceCategory                     text       -     MMMMM
ServiceName                         text       -     MMMMM
ServiceProviderName                 text       -     ---MM
ServiceSubcategory                  text       -     -RRRR
SkuId                               text       null  CCCCC
SkuMeter                            text       null  -CCCC
SkuPriceDetails                     key_value  null  -CCCC
SkuPriceId                          text       null  CCCCC
SubAccountId                        text       null  CCCCC
SubAccountName                      text       null  CCCCC
SubAccountType                      text       null  --CCC
Tags                                key_value  null  CCCCC
"""


def _columns() -> dict[str, Column]:
    columns = {}
    for line in _COLUMNS.strip().splitlines():
        name, kind, null, levels = line.split()
        columns[name] = Column(
            name,
            Kind(kind),
            null == "null",
            tuple(map(Level, levels)),
            frozenset(_ALLOWED.get(name, ())),
        )
    return columns


COLUMNS: Mapping[str, Column] = MappingProxyType(_columns())

# Columns outside FOCUS that Azure's exports carry and that are not plain text.
AZURE_COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        name: Column(name, kind)
        for kind, names in {
            Kind.DECIMAL: (
                "x_BilledCostInUsd x_EffectiveCostInUsd x_ListCostInUsd x_ContractedCostInUsd"
                " x_BilledUnitPrice x_EffectiveUnitPrice x_BillingExchangeRate x_PricingBlockSize"
                " x_OnDemandCost x_OnDemandCostInUsd x_OnDemandUnitPrice"
            ),
            Kind.TIMESTAMP: "x_BillingExchangeRateDate x_ServicePeriodStart x_ServicePeriodEnd",
            Kind.JSON: "x_SkuDetails",
        }.items()
        for name in names.split()
    }
)

# Releases from 1.3 on replace the first name by the second.
RENAMED: Mapping[str, str] = MappingProxyType(
    {"ProviderName": "ServiceProviderName", "PublisherName": "HostProviderName"}
)

# Where one is null, the other says the same: releases up to 1.2 have the first alone, 1.4 has the
# second. (HostProviderName took PublisherName's place in the list, and means another company.)
SAME_PROVIDER = ("ProviderName", "ServiceProviderName")

_BY_LOWER_NAME = {name.lower(): column for name, column in {**COLUMNS, **AZURE_COLUMNS}.items()}


def columns_of(version: Version) -> tuple[Column, ...]:
    """The columns that a release has, by name."""
    return tuple(c for c in COLUMNS.values() if c.level(version) is not Level.ABSENT)


def column_named(name: str) -> Column:
    """The column of that name in any letter case; an unknown one is nullable text, name kept."""
    return _BY_LOWER_NAME.get(name.lower()) or Column(name)


def missing_columns(names: set[str]) -> list[str]:
    """The mandatory columns of FOCUS 1.0 to 1.2 that are not among ``names``, sorted.

    A column that later releases renamed counts as present under its new name.
    """
    return sorted(
        column.name
        for column in columns_of(Version.V1_0)
        if column.level(Version.V1_0) is Level.MANDATORY
        and column.name not in names
        and RENAMED.get(column.name) not in names
    )
