"""The generated bill obeys what FOCUS says of costs, to the last digit."""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from sandbox.data.generator import write
from tests.finops import oracle
from tests.finops.oracle import EXACT, Row


@pytest.fixture(scope="module", params=[1500, 8_000])
def rows(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    path: Path = tmp_path_factory.mktemp("identities") / "bill.csv"
    write(path, rows=request.param, seed=3, end=date(2026, 10, 20))
    return oracle.rows(path)


def amount(row: Row, column: str) -> Decimal:
    return Decimal(row[column] or 0)


def total(rows: list[Row], column: str) -> Decimal:
    result = Decimal(0)
    for row in rows:
        result = EXACT.add(result, amount(row, column))
    return result


def of_commitments(rows: list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["CommitmentDiscountName"]:
            found[row["CommitmentDiscountName"]].append(row)
    return found


def test_costs_are_price_times_quantity(rows: list[Row]) -> None:
    for row in rows:
        if row["ListUnitPrice"] is not None:
            quantity = amount(row, "PricingQuantity")
            listed = EXACT.multiply(amount(row, "ListUnitPrice"), quantity)
            contracted = EXACT.multiply(amount(row, "ContractedUnitPrice"), quantity)
            assert listed == amount(row, "ListCost")
            assert contracted == amount(row, "ContractedCost")


def test_costs_in_dollars_are_costs_times_the_rate(rows: list[Row]) -> None:
    for row in rows:
        rate = amount(row, "x_BillingExchangeRate")
        assert (row["BillingCurrency"] == "USD") == (rate == 1)
        for metric in oracle.METRICS:
            assert EXACT.multiply(amount(row, metric), rate) == amount(row, f"x_{metric}InUsd")


def test_a_commitment_costs_what_it_was_bought_for(rows: list[Row]) -> None:
    """Over a whole term; of payments by the month, over each whole month."""
    commitments = of_commitments(rows)
    whole = commitments["ri-d4s-2025"]  # a year, paid at once, all of it in the file
    usage = [row for row in whole if row["ChargeCategory"] == "Usage"]
    bought = [row for row in whole if row["ChargeCategory"] == "Purchase"]
    assert len(bought) == 1
    assert total(usage, "EffectiveCost") == total(bought, "BilledCost") == 43_800
    for name in ("ri-sql-vcore", "sp-compute-us"):
        months = defaultdict(list)
        for row in commitments[name]:
            months[oracle.by_billing_month(row)].append(row)
        assert len(months) >= 10
        for month, own in months.items():
            usage = [row for row in own if row["ChargeCategory"] == "Usage"]
            bought = [row for row in own if row["ChargeCategory"] == "Purchase"]
            assert len(bought) == 1
            if month != "2026-10":
                assert total(usage, "EffectiveCost") == total(bought, "BilledCost")
            else:
                assert 0 < total(usage, "EffectiveCost") < total(bought, "BilledCost")


def test_commitment_rows_say_what_they_are(rows: list[Row]) -> None:
    statuses = set()
    for own in of_commitments(rows).values():
        for row in own:
            if row["ChargeCategory"] == "Purchase":
                assert amount(row, "EffectiveCost") == 0
                assert (row["PricingCategory"], row["CommitmentDiscountStatus"]) == (
                    "Standard",
                    None,
                )
            else:
                assert amount(row, "BilledCost") == 0
                assert row["PricingCategory"] == "Committed"
                statuses.add(row["CommitmentDiscountStatus"])
                unused = row["CommitmentDiscountStatus"] == "Unused"
                assert (row["ConsumedQuantity"] is None) == unused
                assert amount(row, "CommitmentDiscountQuantity") > 0
                assert unused or amount(row, "EffectiveCost") < amount(row, "ContractedCost")
    assert statuses == {"Used", "Unused"}


def test_credits_corrections_tax_and_third_parties(rows: list[Row]) -> None:
    credits = [row for row in rows if row["ChargeCategory"] == "Credit"]
    corrections = [row for row in rows if row["ChargeClass"] == "Correction"]
    taxes = [row for row in rows if row["ChargeCategory"] == "Tax"]
    others = [row for row in rows if row["PublisherName"] != "Microsoft"]
    assert len(credits) == 9
    for row in credits:
        assert amount(row, "EffectiveCost") == amount(row, "BilledCost") < 0
    assert any(amount(row, "BilledCost") < 0 for row in corrections)
    assert all(oracle.by_charge_month(row) < oracle.by_billing_month(row) for row in corrections)
    assert {row["BillingCurrency"] for row in taxes} == {"EUR", "USD"}
    assert len(taxes) == 24
    assert {row["PublisherName"] for row in others} == {"Databricks, Inc.", "Northlight Software"}
    assert all(
        amount(row, "BilledCost") == 0 and amount(row, "EffectiveCost") > 0 for row in others
    )


def test_tax_is_on_the_effective_cost_of_what_is_taxed(rows: list[Row]) -> None:
    for currency, rate in (("EUR", Decimal("0.19")), ("USD", Decimal("0.0825"))):
        for month in ("2025-10", "2026-09"):
            own = [
                row
                for row in rows
                if row["BillingCurrency"] == currency and oracle.by_billing_month(row) == month
            ]
            taxed = [
                row
                for row in own
                if row["ServiceName"] in ("Azure DevOps", "Azure App Service")
                and row["ChargeCategory"] == "Usage"
                and row["CommitmentDiscountId"] is None
                and row["ChargeClass"] is None
            ]
            tax = total([row for row in own if row["ChargeCategory"] == "Tax"], "BilledCost")
            exact = EXACT.multiply(total(taxed, "EffectiveCost"), rate)
            assert 0 <= exact - tax < Decimal("0.01")
