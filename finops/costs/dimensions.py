"""What costs can be grouped and filtered by: known columns of the segments, and tag keys.

No name of a column ever comes from a request: a request names a key, and only keys of the list
below lead to a column. A tag key is a value, bound as a parameter, never a part of the SQL.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from finops.focus import Kind
from finops.segments.schema import COLUMNS, TAGS, Role, SegmentColumn, SegmentSchema, tag_column

TAG: Final = "tag:"
LONGEST_TAG_KEY = 512


class UnknownDimension(ValueError):
    """Costs cannot be grouped by that."""


class Shelf(StrEnum):
    """Where a chooser shows a dimension."""

    COMMON = "Common"
    TAGS = "Tags"
    CHARGE = "Charge and price"
    COMMITMENT = "Commitments"
    ACCOUNT = "Accounts and invoices"
    RESOURCE = "Resources and SKUs"
    OTHER = "Other columns"


@dataclass(frozen=True, slots=True)
class Dimension:
    """Something that every row has one value of, or none. ``key`` is what URLs carry."""

    key: str
    label: str
    shelf: Shelf
    fine: bool  # the roll-up does not have it: the rows are read

    @property
    def tag_key(self) -> str | None:
        """The tag's key, as written in the data; None for a column."""
        return self.key.removeprefix(TAG) if self.key.startswith(TAG) else None


@dataclass(frozen=True, slots=True)
class Expression:
    """SQL that gives a row's value: null where it has none, an empty text included."""

    sql: str
    parameters: dict[str, Any]


_COMMON = {
    "service_name": "Service",
    "service_category": "Service category",
    "sub_account_name": "Sub account",
    "x_resource_group_name": "Resource group",
    "region_name": "Region",
    "charge_category": "Charge category",
    "resource_type": "Resource type",
    "provider_name": "Provider",
    "pricing_category": "Pricing category",
}
_LABELS = {
    **_COMMON,
    "billing_period_start": "Billing period",
    "host_provider_name": "Host provider",
    "invoice_issuer_name": "Invoice issuer",
    "publisher_name": "Publisher",
    "resource_name": "Resource",
    "service_provider_name": "Service provider",
    "service_subcategory": "Service subcategory",
    "x_sku_meter_subcategory": "Meter subcategory",
    "x_sku_meter_category": "Meter category",
    "x_sku_meter_id": "Meter id",
    "charge_day": "Day",
    "charge_period_start": "Charge start",
    "charge_period_end": "Charge end",
}
_WORDS = {"sku": "SKU", "x": ""}
_SHELVES = (
    (re.compile(r"commitment|capacity"), Shelf.COMMITMENT),
    (re.compile(r"account|invoice|billing|cost_center|sub_account"), Shelf.ACCOUNT),
    (re.compile(r"resource|sku|zone|region"), Shelf.RESOURCE),
    (re.compile(r"charge|pricing|consumed|amortization"), Shelf.CHARGE),
)
_BILLING_PERIOD = "billing_period_start"


def _is_dimension(column: SegmentColumn) -> bool:
    # Every page is in one billing currency, so grouping by it says nothing.
    if column.name == "billing_currency":
        return False
    return column.kind in {Kind.TEXT, Kind.CURRENCY} or column.name == _BILLING_PERIOD


def column_label(name: str) -> str:
    """What people call a column of the segments."""
    if name in _LABELS:
        return _LABELS[name]
    words = " ".join(filter(None, (_WORDS.get(word, word) for word in name.split("_"))))
    return words[0].upper() + words[1:]


def _shelf(name: str) -> Shelf:
    if name in _COMMON:
        return Shelf.COMMON
    return next((shelf for pattern, shelf in _SHELVES if pattern.search(name)), Shelf.OTHER)


def _dimensions() -> dict[str, Dimension]:
    found = {
        column.name: Dimension(
            column.name,
            column_label(column.name),
            _shelf(column.name),
            fine=column.role is Role.ROWS_ONLY,
        )
        for column in COLUMNS
        if _is_dimension(column)
    }
    others = sorted(found.keys() - _COMMON.keys(), key=lambda key: found[key].label)
    return {key: found[key] for key in (*_COMMON, *others)}


# Every column that can be grouped by, as a chooser lists them.
DIMENSIONS: Mapping[str, Dimension] = MappingProxyType(_dimensions())


def dimension_named(key: str) -> Dimension:
    """The dimension that a URL names. Raises UnknownDimension, which does not repeat the key."""
    if key in DIMENSIONS:
        return DIMENSIONS[key]
    if key.startswith(TAG) and is_tag_key(key.removeprefix(TAG)):
        return Dimension(key, f"Tag {key.removeprefix(TAG)}", Shelf.TAGS, fine=False)
    raise UnknownDimension(
        "Costs can be grouped by a known column, such as service_name, or by a tag, such as"
        " tag:owner."
    )


def is_tag_key(key: str) -> bool:
    """Whether a URL can name it."""
    return 0 < len(key) <= LONGEST_TAG_KEY and "\0" not in key


def needs_rows(dimension: Dimension, columns: SegmentSchema | None) -> bool:
    """Whether the roll-up cannot answer. ``columns``: the schema that all days in question have."""
    key = dimension.tag_key
    if key is None:
        return dimension.fine
    return columns is None or key not in columns.tag_keys


def expression(dimension: Dimension, columns: SegmentSchema | None, name: str) -> Expression:
    """The SQL for a dimension; ``name`` tells its parameter apart from those of others."""
    key = dimension.tag_key
    if key is None:
        if dimension.key == _BILLING_PERIOD:
            start = "make_timestamp(epoch_us(billing_period_start))"
            return Expression(f"strftime({start}, '%Y-%m')", {})
        return Expression(f"nullif({dimension.key}, '')", {})
    if columns is not None and key in columns.tag_keys:
        return Expression(f"nullif({_quoted(tag_column(key))}, '')", {})
    return Expression(f"nullif({TAGS}[${name}], '')", {name: key})


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
