"""The data page in a real browser: accessible in light and dark, on a phone, without JavaScript."""

from datetime import date

import pytest
from playwright.sync_api import expect

from accounts.levels import PermissionLevel
from finops.models import Dataset
from tests.e2e.test_pages_browser import (  # noqa: F401 - fixtures
    assert_accessible,
    browser,
    flow,
    sideways,
    visitor,
)
from tests.e2e.visitor import Visitor
from tests.finops.cost_documents import build_all, charge
from tests.finops.imports import imported, ran
from tests.finops.test_data_page import totals

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
BILLED = {"BillingPeriodStart": "2026-09-01 00:00:00"}


@pytest.fixture
def imports() -> Dataset:
    """A month that arrives, a gap, a value that was rounded, and an import with defects."""
    dataset = build_all(
        [
            charge(date(2026, 9, 3), "0.1234567890123456789", **BILLED),
            charge(date(2026, 9, 7), "2", BillingCurrency="CHF", **BILLED),
            charge(date(2026, 9, 9), "3", **BILLED),
        ]
    )
    imported(dataset, totals=totals(3, "4"), run="new", rows_here=2)
    defect = {
        "rule": "NOT_JSON",
        "column": "Tags",
        "rows": 2,
        "lines": [{"file": "a-file-with-a-very-long-name-of-an-export.csv.gz", "line": 12}],
        "cells": ["{" + "x" * 79],
    }
    ran(dataset, defects=[defect])
    ran(dataset, run="2", state="failed", outcome={})
    return dataset


@pytest.mark.parametrize("width", [1440, 768, 380])
def test_the_data_page_is_accessible_and_fits(
    visitor: Visitor,  # noqa: F811
    imports: Dataset,
    width: int,
) -> None:
    page = visitor.open("/data/", width=width, level=PermissionLevel.ANALYST)
    assert page.evaluate("window.shift") < 0.02
    page.get_by_text("How jumps are found").click()
    assert_accessible(page)
    assert not sideways(page)


def test_it_says_everything_without_javascript(
    visitor: Visitor,  # noqa: F811
    imports: Dataset,
) -> None:
    page = visitor.open("/data/", level=PermissionLevel.ANALYST, javascript=False)
    expect(page.get_by_text("arriving: 2 of 3 rows").first).to_be_visible()
    expect(page.get_by_text("no rows on 4–8 Sep")).to_be_visible()
    expect(page.get_by_text("not JSON of the expected shape")).to_be_visible()
    expect(page.get_by_text("more than 18 decimals, rounded").first).to_be_visible()
