"""The data page: where figures come from, what they lack, what was wrong; and who is told."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.levels import PermissionLevel
from finops.costs.engine import QueryTooLong
from finops.models import Dataset, Reconciliation
from replication.status import FlowState
from tests.finops.cost_documents import build_all, charge
from tests.finops.flows import FakeFlow, status
from tests.finops.imports import imported, ran
from tests.finops.people import person, sign_in
from tests.finops.test_views import assert_no_inline

pytestmark = pytest.mark.django_db
DAY = date(2026, 9, 3)
BILLED = {"BillingPeriodStart": "2026-09-01 00:00:00"}


@pytest.fixture(autouse=True)
def flow(monkeypatch: pytest.MonkeyPatch) -> FakeFlow:
    fake = FakeFlow(status())
    monkeypatch.setattr("finops.freshness.flow_status", fake)
    cache.clear()
    return fake


@pytest.fixture
def analyst(client: Client) -> Client:
    return sign_in(client, PermissionLevel.ANALYST)


@pytest.fixture
def costs() -> Dataset:
    return build_all(
        [
            charge(DAY, "1.25", SubAccountId="a", **BILLED),
            charge(DAY, "2", SubAccountId="b", **BILLED),
        ]
    )


def page(client: Client) -> str:
    response = client.get("/data/")
    assert response.status_code == 200
    return response.content.decode()


def totals(rows: int, billed: str, others: str = "3.25") -> dict[str, Any]:
    sums = {name: {"sum": others, "missing": 0} for name in ("effective", "list", "contracted")}
    return {"EUR": {"rows": rows, "billed": {"sum": billed, "missing": 0}, **sums}}


def test_it_is_for_analysts(client: Client) -> None:
    assert sign_in(client).get("/data/").status_code == 403


def test_without_a_data_set_it_says_so(analyst: Client) -> None:
    assert "No data set is set up yet" in page(analyst)


def test_a_month_that_agrees_with_its_import(analyst: Client, costs: Dataset) -> None:
    imported(costs, totals=totals(2, "3.25"))
    html = page(analyst)
    assert '<span class="remark good">agrees</span>' in html
    assert html.count(">€3.25</data>") == 3  # imported, shown, and by charge month
    assert "Sep 2026" in html
    assert "have not been reconciled yet" in html
    assert_no_inline(html)


@pytest.mark.parametrize(
    ("month", "says"),
    [
        ({"totals": totals(3, "3.25")}, "changed since its import"),
        ({"totals": totals(2, "3.250000000000001")}, "changed since its import"),
        ({"totals": totals(2, "3.2500000000000000001")}, "agrees"),
        ({"totals": totals(3, "3.25"), "accepted": True}, "accepted as it is"),
        ({"totals": totals(3, "4"), "run": "new", "rows_here": 2}, "arriving: 2 of 3 rows"),
        ({"totals": totals(3, "4"), "run": "new"}, "arriving: 0 of 3 rows"),
        ({"run": "new", "state": "importing"}, "import under way, or broken off"),
    ],
)
def test_months_that_do_not(
    analyst: Client, costs: Dataset, month: dict[str, Any], says: str
) -> None:
    imported(costs, **month)
    assert f">{says}" in page(analyst)


def test_rows_that_no_import_wrote_have_nothing_to_compare_with(
    analyst: Client, costs: Dataset
) -> None:
    assert "not imported here, nothing to compare" in page(analyst)


@pytest.mark.parametrize(("agrees", "tone"), [(True, "good"), (False, "bad")])
def test_the_latest_reconciliation(
    analyst: Client, costs: Dataset, agrees: bool, tone: str
) -> None:
    Reconciliation.objects.create(
        dataset=costs,
        made_at=datetime(2026, 10, 2, 4, 30, tzinfo=UTC),
        agrees=agrees,
        lines=[{"month": "2026-09", "verdict": "differs"}, {"month": None, "verdict": "agrees"}],
    )
    html = page(analyst)
    assert f'<span class="remark {tone}">' in html
    assert "02 Oct 2026 04:30 UTC" in html
    assert ("04:30 UTC: 2026-09." in html) is not agrees


def test_gaps_are_named(analyst: Client) -> None:
    build_all([charge(DAY), charge(date(2026, 9, 7))])
    assert "no rows on 4–6 Sep" in page(analyst)


def test_imports_and_their_defects_are_escaped_cells_and_no_more(
    analyst: Client, costs: Dataset
) -> None:
    ran(
        costs,
        defects=[
            {
                "rule": "NOT_A_NUMBER",
                "column": "ListCost",
                "rows": 12,
                "lines": [{"file": "september.csv", "line": n} for n in (7, 8, 9, 10)],
                "cells": ["<script>alert(1)</script>", "dear"],
            },
            {"rule": "OF_ANOTHER_RELEASE", "column": "", "rows": 1, "lines": [], "cells": []},
        ],
    )
    ran(costs, run="2", state="importing", ended_at=None, outcome={}, files=["a", "b"])
    ran(costs, run="3", state="failed", outcome={})
    html = page(analyst)
    assert "10 read, 8 inserted, 2 unchanged, 1 removed, 0 set aside" in html
    assert "<code>&lt;script&gt;alert(1)&lt;/script&gt;</code> <code>dear</code>" in html
    assert "september.csv, line 7, 8, 9<" in html
    assert "not a number" in html
    assert "OF_ANOTHER_RELEASE" in html
    assert "under way, or broken off" in html
    assert ">failed<" in html
    assert "2 files" in html
    assert_no_inline(html)


def test_values_that_could_not_be_kept(analyst: Client) -> None:
    build_all([charge(DAY, "0.1234567890123456789"), charge(DAY, ListCost="1")])
    html = page(analyst)
    assert "more than 18 decimals, rounded" in html
    assert "BilledCost" in html


def test_a_person_of_some_sub_accounts_learns_of_those_alone(
    client: Client, costs: Dataset
) -> None:
    imported(costs, totals=totals(2, "3.25"), run="new", rows_here=1)
    ran(costs, defects=[{"rule": "MISSING", "column": "x", "rows": 1, "lines": [], "cells": []}])
    Reconciliation.objects.create(dataset=costs, made_at=datetime.now(UTC), agrees=False, lines=[])
    analyst = person(PermissionLevel.ANALYST, scope=["a"])
    client.force_login(analyst, backend="accounts.oidc.EntraBackend")
    html = page(client)
    assert "Only the costs of the sub account that you may see" in html
    assert "so they are not shown to you" in html
    assert ">€1.25</data>" in html
    for hidden in ("3.25", "Sep 2026 ", "Reconcile", "september.csv", "of 2 rows", "inserted"):
        assert hidden not in html


def test_what_replication_does_is_said(analyst: Client, costs: Dataset, flow: FakeFlow) -> None:
    flow.answer = status(FlowState.FAILED, error="destination:10260 refused the token")
    html = page(analyst)
    assert "Replication has stopped" in html
    assert "refused the token" not in html


def test_a_query_that_takes_too_long_gets_a_clear_page(
    analyst: Client, costs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_long(*_: object) -> None:
        raise QueryTooLong("The query took longer than 5 s and was stopped.")

    monkeypatch.setattr("finops.data_page.coverage", too_long)
    response = analyst.get("/data/")
    assert response.status_code == 503
    assert "took longer than 5 s" in response.content.decode()
