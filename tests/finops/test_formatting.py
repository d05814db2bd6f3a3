"""Amounts, changes and days read right, and never hide what they round."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.formatting import (
    Amount,
    axis_money,
    change,
    compact_money,
    currency_digits,
    days,
    exact,
    money,
    percent,
)

AMOUNTS = st.decimals(
    min_value=-(10**15), max_value=10**15, places=18, allow_nan=False, allow_infinity=False
)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("20.52022672899", "USD", "$20.52"),
        ("14.97651418586", "USD", "$14.98"),
        ("0.005", "EUR", "€0.01"),
        ("1234567.891", "GBP", "£1,234,567.89"),
        ("1234.5", "JPY", "¥1,235"),
        ("1.2345", "KWD", "KWD\u00a01.235"),
        ("-0.25", "CHF", "−CHF\u00a00.25"),
        ("0.0000008", "USD", "<$0.01"),
        ("-0.0000008", "USD", "−<$0.01"),
        ("0.4", "JPY", "<¥1"),
        ("0", "EUR", "€0.00"),
        ("-0.000", "EUR", "€0.00"),
    ],
)
def test_money_has_the_digits_and_the_name_of_its_currency(
    amount: str, currency: str, text: str
) -> None:
    assert money(Decimal(amount), currency) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("999.994", "€999.99"),
        ("1000", "€1.0k"),
        ("252130", "€252.1k"),
        ("950", "€950.00"),
        ("999.996", "€1.0k"),
        ("999960", "€1.00M"),
        ("-2760000", "−€2.76M"),
        ("12345678901", "€12.35bn"),
        ("0.004", "<€0.01"),
    ],
)
def test_compact_money_keeps_three_or_four_figures(amount: str, text: str) -> None:
    assert compact_money(Decimal(amount), "EUR") == text


@pytest.mark.parametrize(
    ("tick", "largest", "step", "text"),
    [
        ("50000", "250000", "50000", "€50k"),
        ("2500", "10000", "2500", "€2.5k"),
        ("0", "10000", "2500", "€0"),
        ("-1", "4", "1", "−€1"),
        ("2.5", "12.5", "2.5", "€2.50"),
        ("0.002", "0.01", "0.002", "€0.002"),
        ("400000000", "2000000000", "400000000", "€0.4bn"),
    ],
)
def test_the_ticks_of_an_axis_share_unit_and_digits(
    tick: str, largest: str, step: str, text: str
) -> None:
    label = axis_money(Decimal(tick), largest=Decimal(largest), step=Decimal(step), currency="EUR")
    assert label == text


@given(amount=AMOUNTS)
def test_exact_keeps_every_digit(amount: Decimal) -> None:
    assert Decimal(exact(amount).replace(",", "").replace("−", "-")) == amount


@given(amount=AMOUNTS, currency=st.sampled_from(["USD", "JPY", "KWD", "XYZ"]))
def test_an_amount_says_whether_it_was_rounded(amount: Decimal, currency: str) -> None:
    shown = Amount(amount, currency)
    whole = amount == round(amount, currency_digits(currency))
    assert shown.is_rounded is not whole
    assert f'value="{amount:f}"' in shown.html


def test_a_currency_code_from_the_data_is_escaped() -> None:
    assert "<b>" not in Amount(Decimal(1), "<b>").html


@pytest.mark.parametrize(
    ("fraction", "text"),
    [("0.2914", "29.1%"), ("0.0004", "<0.1%"), ("-0.03", "−3.0%"), ("0", "0.0%"), ("1", "100.0%")],
)
def test_shares(fraction: str, text: str) -> None:
    assert percent(Decimal(fraction)) == text


@pytest.mark.parametrize(
    ("current", "previous", "text", "tone"),
    [
        ("103", "100", "+3.0%", "bad"),
        ("97", "100", "−3.0%", "good"),
        ("100.01", "100", "0.0%", "plain"),
        ("5305", "100", "+5,205%", "bad"),
        ("-20", "-10", "−100.0%", "good"),  # a larger credit is a lower cost
        ("5", "-10", "+150.0%", "bad"),
    ],
)
def test_growing_cost_is_bad(current: str, previous: str, text: str, tone: str) -> None:
    now, before = Decimal(current), Decimal(previous)
    found = change(current=now, previous=before, fraction=(now - before) / before)
    assert found is not None
    assert (found.text, found.tone) == (text, tone)


@pytest.mark.parametrize("previous", [None, Decimal(0)])
def test_nothing_to_compare_with_is_no_change(previous: Decimal | None) -> None:
    assert change(current=Decimal(1), previous=previous, fraction=None) is None


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2026-10-01", "2026-10-21", "1–20 Oct 2026"),
        ("2026-10-01", "2026-10-02", "1 Oct 2026"),
        ("2026-02-01", "2026-03-01", "1–28 Feb 2026"),
        ("2026-09-28", "2026-10-05", "28 Sep – 4 Oct 2026"),
        ("2025-10-01", "2026-10-21", "1 Oct 2025 – 20 Oct 2026"),
    ],
)
def test_a_period_is_named_by_the_days_that_belong_to_it(start: str, end: str, text: str) -> None:
    assert days(date.fromisoformat(start), date.fromisoformat(end), year=True) == text
