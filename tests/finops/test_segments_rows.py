"""Documents become rows and roll-ups without losing a digit, a null or a row."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from hypothesis import given, settings
from hypothesis import strategies as st

from finops.costs.metrics import Metric
from finops.segments.rows import Defects, join_rollups, read_rows, roll_up, totals_by_day
from finops.segments.schema import segment_schema, tag_column
from finops.segments.values import LARGEST
from tests.finops.oracle import EXACT

DAY = date(2026, 10, 20)
SCHEMA = segment_schema(("team", "Team", "cost-center"))


@dataclass
class DayRows:
    """The rows of some documents, and what could not be kept as it was."""

    table: pa.Table
    defects: Defects


def read(*documents: dict[str, Any]) -> DayRows:
    stamped = [
        {"_id": str(number), "ChargePeriodStart": datetime(2026, 10, 20, tzinfo=UTC)} | document
        for number, document in enumerate(documents)
    ]
    defects: Defects = {}
    parts = read_rows(stamped, SCHEMA, defects)
    return DayRows(pa.concat_tables([SCHEMA.rows.empty_table(), *parts]), defects)


def only(found: DayRows, column: str) -> Any:
    (value,) = found.table[column].to_pylist()
    return value


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (Decimal128("20.52022672899"), "20.52022672899"),
        (Decimal128("-0.08746750847"), "-0.08746750847"),
        (Decimal128("0.000000000000000001"), "0.000000000000000001"),
        (Decimal128("1E+5"), "100000"),
        (Decimal128("1.100000000000000000000"), "1.1"),
        (0.1, "0.1"),
        (7, "7"),
        (Int64(-7), "-7"),
        (" 12.50 ", "12.5"),
    ],
)
def test_an_amount_is_exact_whatever_its_type(stored: object, expected: str) -> None:
    found = read({"BilledCost": stored})
    assert only(found, "billed_cost") == Decimal(expected)
    assert found.defects == {}


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("1.0000000000000000005", "1.000000000000000000"),
        ("1.0000000000000000015", "1.000000000000000002"),
        ("-1.0000000000000000005", "-1.000000000000000000"),
        ("0.00000000000000000049", "0"),
    ],
)
def test_more_than_18_decimals_are_rounded_half_even_and_counted(
    stored: str, expected: str
) -> None:
    found = read({"BilledCost": Decimal128(stored)})
    assert only(found, "billed_cost") == Decimal(expected)
    assert found.defects == {DAY: {"rounded:BilledCost": 1}}


@pytest.mark.parametrize(
    "stored",
    ["n/a", True, {"a": 1}, float("nan"), Decimal128("NaN"), Decimal128("-Infinity"),
     Decimal128(LARGEST), Decimal128("1E+6000"), [Decimal128("1")]],
)  # fmt: skip
def test_what_is_no_amount_is_null_and_counted(stored: object) -> None:
    found = read({"BilledCost": stored})
    assert only(found, "billed_cost") is None
    assert found.defects == {DAY: {"unreadable:BilledCost": 1}}


def test_absent_and_null_amounts_are_null_without_a_defect() -> None:
    found = read({"BilledCost": None}, {})
    assert found.table["billed_cost"].to_pylist() == [None, None]
    assert found.defects == {}


def test_the_charge_day_is_the_utc_date_of_the_charge_periods_start() -> None:
    east = timezone(timedelta(hours=5))
    found = read(
        {"ChargePeriodStart": datetime.fromisoformat("2026-10-20 23:59:59")},
        {"ChargePeriodStart": datetime(2026, 10, 21, 4, 59, tzinfo=east)},
        {"ChargePeriodStart": datetime(2026, 10, 21, 0, 0, tzinfo=UTC)},
    )
    assert found.table["charge_day"].to_pylist() == [DAY, DAY, date(2026, 10, 21)]


def test_rows_come_sorted_by_day() -> None:
    days = [datetime(2026, 10, day, tzinfo=UTC) for day in (3, 1, 2)]
    found = read(*({"ChargePeriodStart": day} for day in days))
    assert [day.day for day in found.table["charge_day"].to_pylist()] == [1, 2, 3]


def test_tags_keep_their_keys_and_configured_ones_are_columns_too() -> None:
    tags = {"team": "web", "Team": "Web", " org": "x", "flag": True, "n": 3, "none": None}
    found = read({"Tags": tags})
    assert only(found, tag_column("team")) == "web"
    assert only(found, tag_column("Team")) == "Web"
    assert only(found, tag_column("cost-center")) is None
    kept = dict(only(found, "tags"))
    assert kept == {
        "team": "web", "Team": "Web", " org": "x", "flag": "true", "n": "3", "none": None,
    }  # fmt: skip


def test_tags_as_json_text_are_read_and_others_counted() -> None:
    found = read({"Tags": '{"team": "web"}'}, {"Tags": "team=web"}, {"Tags": ["web"]}, {})
    assert found.table[tag_column("team")].to_pylist() == ["web", None, None, None]
    assert found.defects == {DAY: {"unreadable:Tags": 2}}


def test_tags_without_any_key_are_no_value_of_any() -> None:
    found = read({"Tags": {}}, {"Tags": {"team": "web"}})
    assert found.table[tag_column("team")].to_pylist() == [None, "web"]
    assert found.defects == {}


def test_no_two_columns_differ_in_letter_case_only() -> None:
    names = [name.lower() for name in SCHEMA.rows.names]
    assert len(names) == len(set(names))


def test_columns_that_focus_does_not_have_are_kept_as_json_text() -> None:
    found = read({"x_Odd": {"b": 1, "a": [True]}, "Plain": "text", "Nothing": None})
    assert dict(only(found, "other")) == {
        "x_Odd": '{"a": [true], "b": 1}',
        "Plain": "text",
        "Nothing": None,
    }


def test_text_columns_take_other_types_as_text() -> None:
    found = read({"SkuId": 11472, "ServiceName": "S", "RegionId": None})
    assert only(found, "sku_id") == "11472"
    assert only(found, "region_id") is None


def test_times_as_text_are_read_as_utc_and_others_counted() -> None:
    found = read({"BillingPeriodStart": "2026-10-01T02:00:00+02:00", "BillingPeriodEnd": "soon"})
    assert only(found, "billing_period_start") == datetime(2026, 10, 1, tzinfo=UTC)
    assert found.defects == {DAY: {"unreadable:BillingPeriodEnd": 1}}


def test_nulls_are_a_group_of_their_own_in_the_rollup() -> None:
    one = Decimal128("1")
    found = read(
        {"ServiceName": "S", "BilledCost": one, "ResourceId": "r1"},
        {"ServiceName": "S", "BilledCost": one, "ResourceId": "r2"},
        {"ServiceName": None, "BilledCost": one},
        {"ServiceName": None, "BilledCost": None},
    )
    rows = roll_up(found.table, SCHEMA).to_pylist()
    seen = {
        r["service_name"]: (r["rows"], r["billed_cost"], r["billed_cost_missing"]) for r in rows
    }
    assert seen == {"S": (2, Decimal(2), 0), None: (2, Decimal(1), 1)}


def test_totals_keep_currencies_apart_and_name_the_rows_without_one() -> None:
    one = Decimal128("1.5")
    found = read(
        {"BillingCurrency": "EUR", "BilledCost": one},
        {"BillingCurrency": "USD", "BilledCost": one},
        {"BillingCurrency": "", "BilledCost": one},
        {"BillingCurrency": None},
    )
    totals = totals_by_day(roll_up(found.table, SCHEMA))[DAY]
    billed = {currency: (one["rows"], Decimal(one["billed"]["sum"]), one["billed"]["missing"])
              for currency, one in totals.items()}  # fmt: skip
    assert billed == {
        "EUR": (1, Decimal("1.5"), 0),
        "USD": (1, Decimal("1.5"), 0),
        "XXX": (2, Decimal("1.5"), 1),
    }


amounts = st.decimals(-(10**14), 10**14, places=18) | st.decimals(-10, 10, places=11)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["EUR", "USD"]), st.none() | amounts), max_size=40))
def test_sums_are_exact(charges: list[tuple[str, Decimal | None]]) -> None:
    found = read(
        *(
            {"BillingCurrency": currency, "BilledCost": None if c is None else Decimal128(c)}
            for currency, c in charges
        )
    )
    totals = totals_by_day(roll_up(found.table, SCHEMA)).get(DAY, {})
    for currency in {currency for currency, _ in charges}:
        expected = Decimal(0)
        for _, cost in (one for one in charges if one[0] == currency):
            expected = EXACT.add(expected, cost or 0)
        assert Decimal(totals[currency][Metric.BILLED]["sum"]) == expected


def test_a_provider_is_found_under_either_of_its_names() -> None:
    found = read(
        {"ProviderName": "AWS"},
        {"ServiceProviderName": "Microsoft", "HostProviderName": "Other"},
        {"ProviderName": "Old", "ServiceProviderName": "New"},
        {},
    )
    assert found.table["provider_name"].to_pylist() == ["AWS", "Microsoft", "Old", None]
    assert found.table["service_provider_name"].to_pylist() == ["AWS", "Microsoft", "New", None]
    assert found.table["publisher_name"].to_pylist() == [None] * 4
    assert found.table["host_provider_name"].to_pylist() == [None, "Other", None, None]


@given(
    days=st.lists(st.integers(1, 4), min_size=1, max_size=12),
    at_once=st.integers(1, 5),
    cuts=st.integers(1, 5),
)
def test_a_roll_up_of_parts_is_that_of_the_whole(days: list[int], at_once: int, cuts: int) -> None:
    documents: list[dict[str, Any]] = [
        {
            "_id": str(number),
            "ChargePeriodStart": datetime(2026, 10, day, tzinfo=UTC),
            "ServiceName": "ABC"[number % 3],
            "BilledCost": Decimal128(f"{number}.{day:018d}") if number % 4 else None,
        }
        for number, day in enumerate(days)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("finops.segments.rows._BATCH", cuts)
        patch.setattr("finops.segments.rows.ROWS_AT_ONCE", at_once)
        parts = list(read_rows(documents, SCHEMA, {}))
    assert all(
        part["charge_day"].to_pylist() == sorted(part["charge_day"].to_pylist()) for part in parts
    )
    whole = pa.concat_tables(parts)
    assert sorted(whole["document_id"].to_pylist()) == sorted(one["_id"] for one in documents)
    joined = join_rollups([roll_up(part, SCHEMA) for part in parts], SCHEMA)
    expected = roll_up(whole, SCHEMA)
    order = [(name, "ascending") for name in ("charge_day", "service_name")]
    assert joined.sort_by(order).equals(expected.sort_by(order))
    assert totals_by_day(joined) == totals_by_day(expected)


def test_the_roll_up_of_no_rows_has_none() -> None:
    assert totals_by_day(join_rollups([], SCHEMA)) == {}
