"""Rows become documents; what is wrong with them is counted, by rule and column."""

import csv
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bson.decimal128 import Decimal128

from finops.importing.defects import EXAMPLES, Defects, Rule
from finops.importing.reading import FocusFile
from finops.importing.rows import Document, Normaliser
from tests.finops.focus_rows import ROW, SAMPLE, row, write_csv


def normalised(path: Path) -> tuple[list[Document], Defects]:
    defects = Defects()
    with FocusFile(path) as file:
        normaliser = Normaliser(file.header, defects)
        documents = [doc for batch in file.batches() for doc in normaliser.documents(batch)]
        normaliser.finish()
    return documents, defects


def normalised_rows(tmp_path: Path, *rows: Mapping[str, str]) -> tuple[list[Document], Defects]:
    return normalised(write_csv(tmp_path / "rows.csv", rows))


def found(defects: Defects) -> dict[tuple[Rule, str], int]:
    return {key: count.rows for key, count in defects.counts.items()}


def test_a_good_row_has_no_defect(tmp_path: Path) -> None:
    (document,), defects = normalised_rows(tmp_path, row(Tags='{"env": "prod"}', x_Note="kept"))
    assert found(defects) == {}
    assert document["BilledCost"] == Decimal128("1.5")
    assert document["ChargePeriodStart"] == datetime(2026, 9, 2, tzinfo=UTC)
    assert document["Tags"] == {"env": "prod"}
    assert document["x_Note"] == "kept"
    assert "ChargeClass" not in document
    assert list(document) == sorted(document)


def test_the_defects_of_the_official_sample() -> None:
    documents, defects = normalised(SAMPLE)
    assert len(documents) == 1000
    assert defects.rows_set_aside == 0
    assert found(defects) == {
        (Rule.NO_TIME_ZONE, "BillingPeriodEnd"): 1000,
        (Rule.NO_TIME_ZONE, "BillingPeriodStart"): 1000,
        (Rule.NO_TIME_ZONE, "ChargePeriodEnd"): 1000,
        (Rule.NO_TIME_ZONE, "ChargePeriodStart"): 1000,
        (Rule.LETTER_CASE, "ChargeFrequency"): 7,
        (Rule.MISSING, "ContractedCost"): 7,
        (Rule.NEGATIVE_COST, "BilledCost"): 13,
        (Rule.NEGATIVE_PRICE, "ContractedUnitPrice"): 1,
        (Rule.KEY_WITH_SPACE, "Tags"): 23,
        (Rule.OUTSIDE_BILLING_PERIOD, "ChargePeriodStart"): 1,
        (Rule.CREDIT_AMORTISED, "EffectiveCost"): 1,
        (Rule.MIXED_NULLS, "CommitmentDiscountCategory"): 7,
        (Rule.MIXED_NULLS, "CommitmentDiscountId"): 7,
        (Rule.MIXED_NULLS, "CommitmentDiscountName"): 7,
        (Rule.MIXED_NULLS, "CommitmentDiscountType"): 7,
        (Rule.MIXED_NULLS, "ResourceName"): 7,
        (Rule.MIXED_NULLS, "SkuPriceId"): 1,
    }


@pytest.mark.parametrize(
    ("cells", "rule", "column"),
    [
        ({"ListCost": "1,234"}, Rule.SEPARATOR, "ListCost"),
        ({"ListCost": "lots"}, Rule.NOT_A_NUMBER, "ListCost"),
        ({"EffectiveCost": "1" * 40}, Rule.TOO_MANY_DIGITS, "EffectiveCost"),
        ({"ServiceName": ""}, Rule.MISSING, "ServiceName"),
        ({"ServiceCategory": "Cooking"}, Rule.NOT_ALLOWED, "ServiceCategory"),
        ({"ChargePeriodEnd": "soon"}, Rule.NOT_A_TIMESTAMP, "ChargePeriodEnd"),
        ({"ChargePeriodEnd": "2026-09-02T00:00:00Z"}, Rule.PERIOD_REVERSED, "ChargePeriodEnd"),
        ({"Tags": "env=prod"}, Rule.NOT_JSON, "Tags"),
        ({"CommitmentDiscountId": "ri-1"}, Rule.STATUS_MISMATCH, "CommitmentDiscountStatus"),
        ({"CommitmentDiscountStatus": "Used"}, Rule.STATUS_MISMATCH, "CommitmentDiscountStatus"),
        (
            {"ChargePeriodStart": "2026-08-31T00:00:00Z"},
            Rule.OUTSIDE_BILLING_PERIOD,
            "ChargePeriodStart",
        ),
    ],
)
def test_a_row_with_a_defect_is_imported_with_the_rest(
    tmp_path: Path, cells: dict[str, str], rule: Rule, column: str
) -> None:
    both = {"CommitmentDiscountId": "", "CommitmentDiscountStatus": ""}
    (first, second), defects = normalised_rows(tmp_path, row(**both), row(**(both | cells)))
    assert found(defects) == {(rule, column): 1}
    assert defects.counts[rule, column].lines == [("", 3)]
    assert first["BilledCost"] == second["BilledCost"] == Decimal128("1.5")


def test_a_correction_may_lie_outside_its_billing_period(tmp_path: Path) -> None:
    cells = {"ChargePeriodStart": "2026-08-31T00:00:00Z", "ChargeClass": "Correction"}
    assert found(normalised_rows(tmp_path, row(**cells))[1]) == {}


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("BilledCost", "1,5"),
        ("BillingCurrency", "Euro"),
        ("BillingPeriodStart", ""),
        ("ChargePeriodStart", "yesterday"),
    ],
)
def test_a_row_without_what_it_needs_is_set_aside(tmp_path: Path, column: str, text: str) -> None:
    documents, defects = normalised_rows(tmp_path, row(), row(**{column: text}), row())
    assert len(documents) == 2
    (aside,) = defects.set_aside
    assert (aside.line, aside.columns, aside.rule) == (3, (column,), Rule.MISSING)


def test_a_row_whose_cells_do_not_line_up_is_set_aside(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "rows.csv", [row()])
    path.write_text(path.read_text() + "1.5,acc-1\n" + ",".join(ROW.values()) + "\n")
    documents, defects = normalised(path)
    assert len(documents) == 2
    assert [(aside.line, aside.rule) for aside in defects.set_aside] == [(3, Rule.CELL_COUNT)]


def test_only_the_first_lines_of_a_defect_are_kept(tmp_path: Path) -> None:
    documents, defects = normalised_rows(tmp_path, *[row(ListCost="x")] * 2_500)
    assert len(documents) == 2_500
    count = defects.counts[Rule.NOT_A_NUMBER, "ListCost"]
    assert (count.rows, len(count.lines)) == (2_500, EXAMPLES)


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    rows = [row(ChargeDescription="two\nlines"), row(ListCost="x")]
    _, defects = normalised_rows(tmp_path, *rows)
    assert defects.counts[Rule.NOT_A_NUMBER, "ListCost"].lines == [("", 4)]


def test_examples_are_few_cut_and_of_the_cell_alone(tmp_path: Path) -> None:
    rows = [row(ListCost=text, ServiceName="hidden") for text in ["x", "x", "y" * 200, "z", "w"]]
    _, defects = normalised_rows(tmp_path, *rows, row(BilledCost="-1"))
    cells = defects.counts[Rule.NOT_A_NUMBER, "ListCost"].cells
    assert cells == ["x", "y" * 79 + "…", "z"]
    assert defects.counts[Rule.NEGATIVE_COST, "BilledCost"].cells == ["-1"]


def test_a_file_of_focus_1_4_is_read_under_its_names(tmp_path: Path) -> None:
    renamed = {"ProviderName": "ServiceProviderName", "PublisherName": "HostProviderName"}
    later = {renamed.get(name, name): text for name, text in ROW.items()}
    later |= {
        "InvoiceDetailId": "i-1",
        "AllocatedTags": '{"team": "a"}',
        "AllocatedMethodDetails": '{"b": 1, "a": 2}',
        "ContractApplied": "not json",
        "CommitmentProgramEligibilityDetails": "NULL",
    }
    path = tmp_path / "later.csv"
    head, cells = zip(*later.items(), strict=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, cells])
    (document,), defects = normalised(path)
    assert document["ServiceProviderName"] == document["HostProviderName"] == "Microsoft"
    assert "ProviderName" not in document
    assert document["AllocatedTags"] == {"team": "a"}
    assert document["AllocatedMethodDetails"] == '{"a":"2","b":"1"}'
    assert found(defects) == {(Rule.NOT_JSON, "ContractApplied"): 1}
