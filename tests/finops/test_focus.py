"""The table of FOCUS columns says what the specification says."""

from collections import Counter

import pytest

from finops.focus import (
    COLUMNS,
    SUBCATEGORY_PARENTS,
    Kind,
    Level,
    Version,
    column_named,
    columns_of,
    missing_columns,
)


@pytest.mark.parametrize(
    ("version", "mandatory", "conditional", "recommended"),
    [(Version.V1_0, 21, 20, 2), (Version.V1_1, 21, 26, 3), (Version.V1_2, 21, 32, 4)],
)
def test_releases_have_their_columns(
    version: Version, mandatory: int, conditional: int, recommended: int
) -> None:
    levels = Counter(column.level(version) for column in columns_of(version))
    assert levels == {
        Level.MANDATORY: mandatory,
        Level.CONDITIONAL: conditional,
        Level.RECOMMENDED: recommended,
    }


def test_older_releases_are_subsets() -> None:
    for older, newer in [(Version.V1_0, Version.V1_1), (Version.V1_1, Version.V1_2)]:
        assert set(columns_of(older)) <= set(columns_of(newer))


def test_later_releases_rename_the_provider() -> None:
    names = {column.name for column in columns_of(Version.V1_4)}
    assert "ServiceProviderName" in names
    assert "ProviderName" not in names


def test_every_subcategory_has_one_category() -> None:
    assert len(SUBCATEGORY_PARENTS) == 82
    assert set(SUBCATEGORY_PARENTS.values()) == COLUMNS["ServiceCategory"].allowed


@pytest.mark.parametrize(
    ("written", "name", "kind"),
    [
        ("BilledCost", "BilledCost", Kind.DECIMAL),
        ("billedcost", "BilledCost", Kind.DECIMAL),
        ("TAGS", "Tags", Kind.KEY_VALUE),
        ("x_billedcostinusd", "x_BilledCostInUsd", Kind.DECIMAL),
        ("x_Something", "x_Something", Kind.TEXT),
    ],
)
def test_columns_are_found_in_any_letter_case(written: str, name: str, kind: Kind) -> None:
    column = column_named(written)
    assert (column.name, column.kind) == (name, kind)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("ChargePeriodStart", "charge_period_start"),
        ("x_SkuMeterCategory", "x_sku_meter_category"),
        ("x_BilledCostInUsd", "x_billed_cost_in_usd"),
    ],
)
def test_names_in_python(name: str, field: str) -> None:
    assert column_named(name).field == field


def test_missing_columns_accept_the_later_names() -> None:
    mandatory = {c.name for c in columns_of(Version.V1_2) if c.level(Version.V1_2) == "M"}
    assert missing_columns(mandatory) == []
    assert missing_columns(mandatory - {"ProviderName"}) == ["ProviderName"]
    assert missing_columns(mandatory - {"ProviderName"} | {"ServiceProviderName"}) == []
