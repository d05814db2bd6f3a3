"""The columns of segments: one Parquet schema for rows, one for the roll-up.

Every FOCUS column has a column of its own, under its name in snake_case. Costs and quantities are
``DECIMAL(38,18)``. Configured tag keys are columns too; all tags, those included, are also in the
map ``tags``. Whatever else a document holds is kept as JSON text in the map ``other``.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache

import pyarrow as pa
from django.conf import settings

from finops.focus import COLUMNS as FOCUS_COLUMNS
from finops.focus import Column, Kind, column_named

AMOUNT = pa.decimal128(38, 18)
TIME = pa.timestamp("us", tz="UTC")
TEXT_MAP = pa.map_(pa.string(), pa.string())
CHARGE_DAY = "charge_day"
DOCUMENT_ID = "document_id"
ROW_COUNT = "rows"
TAGS = "tags"
OTHER = "other"
# Raise it when what the builder writes changes in meaning: segments of an older layout are rebuilt.
# 2: with sums over a file's month; 3: a provider under either of its names
LAYOUT = 3


class Role(Enum):
    """What a column is in the roll-up."""

    DIMENSION = "dimension"
    MEASURE = "measure"
    ROWS_ONLY = "rows only"


# Azure's columns that become columns here; its others stay in the map.
_AZURE = [
    "x_AccountName",
    "x_AmortizationClass",
    "x_BillingProfileId",
    "x_BillingProfileName",
    "x_CostAllocationRuleName",
    "x_CostCenter",
    "x_InvoiceSectionId",
    "x_InvoiceSectionName",
    "x_ResourceGroupName",
    "x_SkuMeterCategory",
    "x_SkuMeterSubcategory",
    "x_SkuTerm",
    "x_SkuMeterId",
    "x_SkuOrderId",
    "x_SkuOrderName",
    "x_PricingUnitDescription",
    "x_BilledCostInUsd",
    "x_EffectiveCostInUsd",
    "x_ListCostInUsd",
    "x_ContractedCostInUsd",
    "x_BilledUnitPrice",
    "x_EffectiveUnitPrice",
    "x_BillingExchangeRate",
    "x_PricingBlockSize",
]
# Resource and SKU, and text that is as fine as they are: a description names the SKU's price.
_FINE = frozenset(
    [
        "AllocatedMethodId",
        "AllocatedResourceId",
        "AllocatedResourceName",
        "CapacityReservationId",
        "ChargeDescription",
        "InvoiceDetailId",
        "ResourceId",
        "ResourceName",
        "SkuId",
        "SkuMeter",
        "SkuPriceId",
        "x_SkuMeterId",
        "x_SkuOrderId",
        "x_SkuOrderName",
        "x_PricingUnitDescription",
    ]
)
# Decimals that are rates: no sum of them means anything.
_RATES = frozenset(
    ["x_BilledUnitPrice", "x_EffectiveUnitPrice", "x_BillingExchangeRate", "x_PricingBlockSize"]
)
_TYPES = {Kind.DECIMAL: AMOUNT, Kind.PRICE: AMOUNT, Kind.TIMESTAMP: TIME}


@dataclass(frozen=True, slots=True)
class SegmentColumn:
    """A column of a document and what becomes of it."""

    focus: str
    name: str
    kind: Kind
    role: Role

    @property
    def arrow(self) -> pa.DataType:
        """The Parquet type."""
        return _TYPES.get(self.kind, pa.string())


def _role(column: Column) -> Role:
    if column.kind is Kind.DECIMAL and column.name not in _RATES:
        return Role.MEASURE
    if column.kind in {Kind.TEXT, Kind.CURRENCY} and column.name not in _FINE:
        return Role.DIMENSION
    if column.kind is Kind.TIMESTAMP and column.name.startswith("BillingPeriod"):
        return Role.DIMENSION
    return Role.ROWS_ONLY


COLUMNS: tuple[SegmentColumn, ...] = tuple(
    SegmentColumn(column.name, column.field, column.kind, _role(column))
    for column in (*FOCUS_COLUMNS.values(), *map(column_named, _AZURE))
    if column.name != "Tags"
)
KNOWN = frozenset({column.focus for column in COLUMNS} | {"_id", "Tags"})


def missing(measure: str) -> str:
    """The roll-up's column that counts the rows in which ``measure`` is null."""
    return f"{measure}_missing"


def tag_column(key: str) -> str:
    """The column of a configured tag key.

    DuckDB's names ignore case and tag keys do not: a key with capitals is told apart by a digest.
    """
    if key == key.lower():
        return f"tag_{key}"
    return f"tag_{key.lower()}~{hashlib.sha256(key.encode()).hexdigest()[:6]}"


@dataclass(frozen=True)
class SegmentSchema:
    """The schema that a list of tag keys gives."""

    tag_keys: tuple[str, ...]

    @cached_property
    def rows(self) -> pa.Schema:
        """The schema of a file of rows, sorted by charge day."""
        return pa.schema(
            [
                pa.field(CHARGE_DAY, pa.date32()),
                pa.field(DOCUMENT_ID, pa.string()),
                *(pa.field(column.name, column.arrow) for column in COLUMNS),
                *(pa.field(tag_column(key), pa.string()) for key in self.tag_keys),
                pa.field(TAGS, TEXT_MAP),
                pa.field(OTHER, TEXT_MAP),
            ]
        )

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        """The roll-up's groups, the charge day first."""
        return (
            CHARGE_DAY,
            *(column.name for column in COLUMNS if column.role is Role.DIMENSION),
            *(tag_column(key) for key in self.tag_keys),
        )

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """What the roll-up sums, each beside a count of the rows without it."""
        return tuple(column.name for column in COLUMNS if column.role is Role.MEASURE)

    @cached_property
    def rollup(self) -> pa.Schema:
        """The schema of a file of roll-ups, sorted by charge day."""
        return pa.schema(
            [
                *(self.rows.field(name) for name in self.dimensions),
                pa.field(ROW_COUNT, pa.int64()),
                *(pa.field(name, AMOUNT) for name in self.measures),
                *(pa.field(missing(name), pa.int64()) for name in self.measures),
            ]
        )

    @cached_property
    def fingerprint(self) -> str:
        """Equal for equal schemas of equal meaning; 16 hexadecimal digits."""
        text = f"{LAYOUT}\n{self.rows.to_string()}\n{self.rollup.to_string()}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@lru_cache(maxsize=8)
def segment_schema(tag_keys: tuple[str, ...]) -> SegmentSchema:
    """The schema for ``tag_keys``, repeated keys counted once."""
    return SegmentSchema(tuple(dict.fromkeys(tag_keys)))


def configured_schema() -> SegmentSchema:
    """The schema that the settings ask for."""
    keys: Iterable[str] = settings.SEGMENT_TAG_COLUMNS
    return segment_schema(tuple(keys))
