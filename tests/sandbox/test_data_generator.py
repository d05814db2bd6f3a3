"""The generated bill is deterministic, of the size asked for, and looks like a company's."""

import gzip
import itertools
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from finops.focus import COLUMNS, Version, columns_of
from finops.importing.defects import Defects, Rule
from finops.importing.reading import FocusFile
from finops.importing.rows import Normaliser
from sandbox.data.generator import generate, write
from sandbox.data.layout import AT, FOCUS, HEADER
from tests.finops import oracle

END = date(2026, 10, 20)


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bill") / "bill.csv"
    write(path, rows=20_000, end=END)
    return path


@pytest.fixture(scope="module")
def rows(bill: Path) -> list[oracle.Row]:
    return oracle.rows(bill)


def test_the_same_arguments_give_the_same_bytes(bill: Path, tmp_path: Path) -> None:
    """In another process, too: nothing rests on the order of a set or on a hash."""
    again = tmp_path / "again.csv.gz"
    command = [*(sys.executable, "-m", "sandbox.data"), *("--rows", "20000", "--end", str(END))]
    subprocess.run([*command, "--out", str(again)], check=True, capture_output=True)
    assert gzip.decompress(again.read_bytes()) == bill.read_bytes()


def test_another_seed_gives_another_bill() -> None:
    first, other = (
        list(itertools.islice(generate(rows=1000, seed=seed, end=END), 60)) for seed in (1, 2)
    )
    assert first != other


@pytest.mark.parametrize("count", [1000, 1001, 7777])
@pytest.mark.parametrize("end", [date(2026, 10, 1), date(2026, 2, 28), date(2024, 12, 31)])
def test_as_many_rows_as_asked_for(count: int, end: date) -> None:
    made = list(generate(rows=count, end=end))
    assert len(made) == count
    assert {len(row) for row in made} == {len(HEADER)}
    months = {row[AT["BillingPeriodStart"]][:7] for row in made}
    assert len(months) == 13
    assert max(row[AT["ChargePeriodStart"]] for row in made)[:10] == str(end)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        next(generate(rows=999, end=END))


def test_every_day_has_rows(rows: list[oracle.Row]) -> None:
    days = {oracle.by_charge_day(row) for row in rows}
    first = date(2025, 10, 1)
    assert days == {str(first + timedelta(days=n)) for n in range((END - first).days + 1)}


def test_the_columns_are_those_that_azure_exports() -> None:
    assert set(FOCUS.split()) == {column.name for column in columns_of(Version.V1_2)} - {
        "AvailabilityZone",
        "PricingCurrencyContractedUnitPrice",
        "PricingCurrencyEffectiveCost",
        "PricingCurrencyListUnitPrice",
    }
    assert all(name.startswith("x_") for name in HEADER if name not in COLUMNS)


def test_nothing_but_what_is_meant_is_a_defect(bill: Path) -> None:
    defects = Defects()
    with FocusFile(bill) as file:
        normaliser = Normaliser(file.header, defects)
        for batch in file.batches():
            normaliser.documents(batch)
        normaliser.finish()
    assert defects.rows_set_aside == 0
    assert set(defects.counts) == {
        (Rule.NEGATIVE_COST, "BilledCost"),
        (Rule.KEY_WITH_SPACE, "Tags"),
    }


def test_money_of_a_mid_size_company(rows: list[oracle.Row]) -> None:
    by_month = oracle.group(rows, "EffectiveCost", bucket=oracle.by_charge_month)
    for month in sorted({bucket for _, bucket, _ in by_month})[:-1]:
        both = by_month["EUR", month, ""] + by_month["USD", month, ""]
        assert 140_000 < both < 300_000


def test_the_money_does_not_depend_on_the_rows(rows: list[oracle.Row], tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    write(few, rows=1500, end=END)
    larger, smaller = (
        sum((oracle.total(bill, "EffectiveCost", c).amount for c in ("EUR", "USD")), Decimal(0))
        for bill in (rows, oracle.rows(few))
    )
    assert abs(larger - smaller) < larger * Decimal("0.03")


def test_accounts_currencies_and_subscriptions(rows: list[oracle.Row]) -> None:
    assert oracle.currencies(rows) == {"EUR", "USD"}
    assert len({row["SubAccountId"] for row in rows} - {None}) == 12
    currency_of = {(row["BillingAccountId"], row["BillingCurrency"]) for row in rows}
    assert len(currency_of) == 2
    assert any(row["SubAccountId"] is None for row in rows)


def test_services_begin_end_grow_and_run_away(rows: list[oracle.Row]) -> None:
    days = oracle.group(
        [row for row in rows if row["BillingCurrency"] == "EUR"],
        "EffectiveCost",
        dimension=oracle.column("ServiceName"),
        bucket=oracle.by_charge_day,
    )

    def service(name: str) -> dict[str, Decimal]:
        return {bucket: cost for (_, bucket, value), cost in days.items() if value == name}

    assert min(service("Azure OpenAI")) > "2026-02"
    assert max(service("Azure Cache for Redis")) < "2026-08"
    factory = sorted(service("Azure Data Factory").values())
    assert factory[-1] > 4 * factory[len(factory) // 2]
    storage = oracle.group(
        rows,
        "EffectiveCost",
        dimension=oracle.column("ServiceName"),
        bucket=oracle.by_charge_month,
    )
    assert storage["EUR", "2026-09", "Storage Accounts"] > (
        storage["EUR", "2025-11", "Storage Accounts"] * Decimal("1.4")
    )


def test_untidy_as_real_bills_are(rows: list[oracle.Row]) -> None:
    spellings = {oracle.tag("environment")(row) for row in rows}
    assert {"prod", "Prod", "production", None} <= spellings
    assert any(oracle.tag("Environment")(row) or oracle.tag("env")(row) for row in rows)
    assert sum(row["Tags"] is None for row in rows) > 1000
    assert sum(row["ResourceId"] is None for row in rows) > 500
    assert sum(row["RegionId"] is None for row in rows) > 500
    copies = Counter(tuple(row.values()) for row in rows)
    assert sum(count - 1 for count in copies.values()) > 100
    assert {row["InvoiceId"] for row in rows if oracle.by_billing_month(row) == "2026-10"} == {None}
