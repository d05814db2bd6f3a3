"""Cells become values exactly, or are counted as flawed; nothing is raised."""

from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

import bson
import pytest
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from finops.focus import COLUMNS, Column
from finops.importing.cells import Flawed, converter
from finops.importing.decimals import (
    ExactSum,
    NotANumberError,
    TooManyDigitsError,
    decimal128,
    is_negative,
)
from finops.importing.defects import Rule

WIDE = Context(prec=200, Emin=-99999, Emax=99999)
decimals = st.builds(
    lambda sign, digits, exponent: Decimal((sign, tuple(map(int, str(digits))), exponent)),
    st.integers(0, 1),
    st.integers(0, 10**34 - 1),
    st.integers(-40, 20),
)


def read(column: str, text: str) -> Any:
    convert = converter(COLUMNS[column])
    assert convert
    return convert(text)


@given(decimals, st.booleans())
def test_decimals_are_exact(number: Decimal, plain: bool) -> None:
    stored = decimal128(f"{number:f}" if plain else str(number))
    assert stored.to_decimal() == number
    assert is_negative(stored) == (number < 0)


@given(decimals, st.integers(0, 6))
def test_equal_numbers_are_stored_alike(number: Decimal, zeros: int) -> None:
    text = f"{number:f}"
    longer = text + ("" if "." in text else ".") + "0" * zeros
    assert decimal128(longer).bid == decimal128(str(number)).bid
    assert decimal128("000" + text.lstrip("-")).bid == decimal128(text.lstrip("-")).bid


@given(st.lists(decimals, max_size=20))
def test_sums_are_exact(numbers: list[Decimal]) -> None:
    total = ExactSum()
    expected = Decimal(0)
    for number in numbers:
        total.add(decimal128(str(number)))
        expected = WIDE.add(expected, number)
    assert total.total() == expected


@pytest.mark.parametrize("text", ["", "-", ".", "1_0", "١", "1,5", "NaN", "Infinity", "1e", "0x1"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(NotANumberError):
        decimal128(text)


@pytest.mark.parametrize("text", ["1" * 35, "0." + "1" * 35, "1" * 9_000, "1e99999", "1e-9999"])
def test_what_does_not_fit(text: str) -> None:
    with pytest.raises(TooManyDigitsError):
        decimal128(text)


def test_thirty_four_digits_fit() -> None:
    assert str(decimal128("-" + "9" * 34)) == "-" + "9" * 34
    assert str(decimal128("2." + "0" * 40)) == "2"
    assert str(decimal128("0" * 9_000 + "7")) == "7"


@pytest.mark.parametrize(
    ("text", "value", "rules"),
    [
        ("1,234.50", None, (Rule.SEPARATOR,)),
        ("1,5", None, (Rule.SEPARATOR,)),
        ("twelve", None, (Rule.NOT_A_NUMBER,)),
        ("1" * 35, None, (Rule.TOO_MANY_DIGITS,)),
    ],
)
def test_flawed_decimals(text: str, value: None, rules: tuple[Rule, ...]) -> None:
    assert read("BilledCost", text) == Flawed(value, rules)


def test_scientific_notation() -> None:
    assert read("BilledCost", " 1.2E-7 ") == Decimal128("1.2E-7")


def test_negative_prices_are_kept_and_counted() -> None:
    assert read("ListUnitPrice", "-2") == Flawed(Decimal128("-2"), (Rule.NEGATIVE_PRICE,))
    assert read("ListUnitPrice", "-0.0") == Decimal128("0")


@pytest.mark.parametrize(
    "text",
    [
        "2026-09-02T22:00:00Z",
        "2026-09-02 22:00:00Z",
        "2026-09-02T22:00:00.0000000Z",
        "2026-09-03T00:00:00+02:00",
        "2026-09-02T22:00Z",
        " 2026-09-02T22:00:00Z ",
    ],
)
def test_timestamps_become_utc(text: str) -> None:
    assert read("ChargePeriodStart", text) == datetime(2026, 9, 2, 22, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-09-02", "2026-09-02 00:00:00", "2026-09-02T00:00"])
def test_timestamps_without_a_zone_are_utc_and_counted(text: str) -> None:
    expected = datetime(2026, 9, 2, tzinfo=UTC)
    assert read("ChargePeriodStart", text) == Flawed(expected, (Rule.NO_TIME_ZONE,))


@pytest.mark.parametrize("text", ["9/2/2026", "yesterday", "2026-13-01", "0001-01-01T00:00+14:00"])
def test_what_is_no_timestamp(text: str) -> None:
    assert read("ChargePeriodStart", text) == Flawed(None, (Rule.NOT_A_TIMESTAMP,))


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        ("ChargeFrequency", "Usage-Based", "Usage-Based"),
        ("ChargeFrequency", "Usage-based", Flawed("Usage-Based", (Rule.LETTER_CASE,))),
        ("ChargeCategory", "Bogus", Flawed("Bogus", (Rule.NOT_ALLOWED,))),
        ("BillingCurrency", "EUR", "EUR"),
        ("BillingCurrency", "eur ", Flawed("EUR", (Rule.LETTER_CASE,))),
        ("BillingCurrency", "Euro", Flawed(None, (Rule.NOT_A_CURRENCY,))),
    ],
)
def test_values_from_lists(column: str, text: str, expected: object) -> None:
    assert read(column, text) == expected


@pytest.mark.parametrize(
    ("text", "value", "rules"),
    [
        ('{"b": "2", "a": "1"}', {"a": "1", "b": "2"}, ()),
        ('{"pinned": true, "old": null, "off": false}', None, ()),
        ('[{"Key": "env", "Value": "prod"}, {"key": "x"}]', {"env": "prod", "x": True}, None),
        ('[["env", "prod"]]', {"env": "prod"}, (Rule.PAIR_LIST,)),
        ('"env": "prod","team": "a"', {"env": "prod", "team": "a"}, (Rule.NO_BRACES,)),
        ('{" org": "x", "org": "x"}', {" org": "x", "org": "x"}, (Rule.KEY_WITH_SPACE,)),
        ('{"a": "1", "a": "2"}', {"a": "2"}, (Rule.REPEATED_KEY,)),
        ('{"n": 1.10, "list": [1, {"z": 1, "y": 2}]}', None, ()),
        ("{}", None, ()),
        ("env=prod", None, (Rule.NOT_JSON,)),
        ('{"half": "\\ud800"}', None, (Rule.NOT_JSON,)),
        ('{"nul\\u0000": "1"}', None, (Rule.NOT_JSON,)),
        ('[["env"]]', None, (Rule.NOT_JSON,)),
        ("[" * 5000, None, (Rule.NOT_JSON,)),
        ('{"deep": ' + "[" * 60 + "]" * 60 + "}", None, (Rule.NOT_JSON,)),
    ],
)
def test_tags_in_every_shape(
    text: str, value: dict[str, object] | None, rules: tuple[Rule, ...] | None
) -> None:
    cell = read("Tags", text)
    found = cell if isinstance(cell, Flawed) else Flawed(cell, ())
    if value is not None or rules:
        assert found.value == value
    if rules is not None:
        assert found.rules == rules


def test_tags_keep_what_they_say() -> None:
    assert read("Tags", '{"pinned": true, "old": null, "off": false}') == {
        "off": "false",
        "old": True,
        "pinned": True,
    }
    assert read("Tags", '{"n": 1.10, "list": [1, {"z": 1, "y": 2}]}') == {
        "list": '["1",{"y":"2","z":"1"}]',
        "n": "1.10",
    }


@given(st.sampled_from(sorted(COLUMNS.values(), key=lambda c: c.name)), st.text())
def test_any_text_gives_something_that_can_be_stored(column: Column, text: str) -> None:
    convert = converter(column)
    if convert:
        cell = convert(text.encode(errors="replace").decode())
        bson.encode({"value": cell.value if isinstance(cell, Flawed) else cell})
