"""The pages: who sees them, what they show, what they remember, and that they stay CSP-clean."""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.views import defaults

from accounts.levels import PermissionLevel
from accounts.models import User
from finops.costs.engine import QueryTooLong
from finops.models import Dataset, SegmentFile
from finops.segments.store import SegmentStore
from replication.status import FlowState
from tests.finops.cost_documents import build_all, charge
from tests.finops.flows import FakeFlow, status
from tests.finops.people import sign_in

pytestmark = pytest.mark.django_db
OCTOBER = date(2026, 10, 20)
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def flow(monkeypatch: pytest.MonkeyPatch) -> FakeFlow:
    fake = FakeFlow(status())
    monkeypatch.setattr("finops.freshness.flow_status", fake)
    cache.clear()
    return fake


@pytest.fixture
def viewer(client: Client) -> Client:
    return sign_in(client)


@pytest.fixture
def costs() -> Dataset:
    return build_all(
        [
            charge(OCTOBER, "20.52022672899", EffectiveCost="14.97651418586"),
            charge(OCTOBER, "5", ServiceName="Storage & <Backup>", EffectiveCost="-2"),
            charge(date(2026, 9, 3), "10", ContractedCost=None),
            charge(date(2026, 1, 3), "10"),
            charge(OCTOBER, "7", BillingCurrency="USD"),
        ]
    )


def page(client: Client, path: str = "/", **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def current(html: str) -> list[str]:
    """The entries of the choosers that are chosen."""
    return re.findall(r'id="([\w-]+)"[^>]* aria-current="true"', html)


def test_somebody_who_is_not_signed_in_is_asked_to(client: Client) -> None:
    response = client.get("/")
    assert response.status_code == 302
    assert response["Location"].startswith("/sign-in/")


def test_the_overview_shows_rounded_and_exact_totals(viewer: Client, costs: Dataset) -> None:
    html = page(viewer, "/?currency=EUR")
    assert ">€25.52</data>" in html
    assert "exactly 25.52022672899" in html
    assert "1–20 Oct 2026 · latest charges of 20 Oct 2026" in html
    assert "1–20 Oct against 1–20 Sep" in html


def test_names_from_the_data_are_escaped(viewer: Client, costs: Dataset) -> None:
    html = page(viewer, "/?currency=EUR")
    assert "Storage &amp; &lt;Backup&gt;" in html
    assert "<Backup>" not in html


def test_currencies_are_chosen_and_never_mixed(viewer: Client, costs: Dataset) -> None:
    html = page(viewer, "/?currency=USD")
    assert current(html) == ["currency-USD", "metric-effective"]
    assert ">$7.00</data>" in html
    assert "€" not in html


def test_one_currency_needs_no_chooser(viewer: Client) -> None:
    build_all([charge(OCTOBER)])
    assert 'aria-label="Currency"' not in page(viewer)


def test_choices_are_remembered(viewer: Client, costs: Dataset) -> None:
    page(viewer, "/?currency=USD")
    page(viewer, "/?metric=list")
    assert current(page(viewer)) == ["currency-USD", "metric-list"]


@pytest.mark.parametrize("query", ["currency=XXX", "currency=%00'--", "metric=nonsense", "x=1"])
def test_what_does_not_exist_cannot_be_chosen(viewer: Client, costs: Dataset, query: str) -> None:
    assert current(page(viewer, f"/?{query}")) == ["currency-EUR", "metric-effective"]


def test_choices_follow_the_person_to_another_machine(viewer: Client, costs: Dataset) -> None:
    page(viewer, "/?currency=USD&metric=list")
    elsewhere = Client()
    elsewhere.force_login(User.objects.get(), backend="accounts.oidc.EntraBackend")
    assert current(page(elsewhere)) == ["currency-USD", "metric-list"]
    assert current(page(sign_in(Client()))) == ["currency-EUR", "metric-effective"]


def test_a_page_that_cannot_add_says_why(viewer: Client, costs: Dataset) -> None:
    html = page(viewer, "/?currency=EUR")
    assert "Charges in USD are not in these sums: amounts of different currencies" in html
    assert "All in USD" not in html


def test_azures_us_dollars_are_one_more_choice(viewer: Client) -> None:
    amounts = {f"x_{name}CostInUsd": "11.5" for name in ("Billed", "Effective")}
    build_all([charge(OCTOBER, "10", **amounts), charge(OCTOBER, "20")])
    html = page(viewer)
    assert 'href="?currency=usd-by-azure"' in html
    html = page(viewer, "/?currency=usd-by-azure")
    assert current(html) == ["currency-usd-by-azure", "metric-effective"]
    assert ">$11.50</data>" in html
    assert "the US dollars that Azure states beside each charge" in html
    assert "1 row has no effective cost in US dollars" in html
    assert current(page(viewer)) == ["currency-usd-by-azure", "metric-effective"]


def test_the_outlook_states_its_formula_and_its_reasons(viewer: Client) -> None:
    build_all(
        [
            charge(OCTOBER, "20", SubAccountId="1", SubAccountName="Prod <1>"),
            charge(OCTOBER, "5", CommitmentDiscountId="x", CommitmentDiscountStatus="Used"),
            charge(date(2026, 9, 3), "10", SubAccountId="1", SubAccountName="Prod <1>"),
        ]
    )
    html = page(viewer)
    assert "month to date ÷ 20 days × 31 days" in html
    assert ">€38.75</data>" in html
    assert "most in Prod &lt;1&gt;: +€10.00" in html
    assert "100.0%" in html
    assert "They cover 20.0% of all usage" in html


def test_a_remembered_currency_that_is_gone_gives_way(viewer: Client, costs: Dataset) -> None:
    page(viewer, "/?currency=USD")
    costs.delete()
    build_all([charge(OCTOBER, BillingCurrency="GBP")], name="other")
    assert ">£1.00</data>" in page(viewer)


def test_htmx_gets_the_main_part_and_the_freshness(viewer: Client, costs: Dataset) -> None:
    html = page(viewer, **HTMX)
    assert html.startswith("<title>Cost overview · FinOps Dashboard</title>")
    assert "<html" not in html
    assert 'id="freshness" hx-swap-oob="true"' in html


def test_a_page_restored_from_history_is_whole(viewer: Client, costs: Dataset) -> None:
    assert "<html" in page(viewer, **HTMX, **{"HX-History-Restore-Request": "true"})


def test_pages_are_kept_by_no_cache(viewer: Client, costs: Dataset) -> None:
    response = viewer.get("/")
    assert "no-store" in response["Cache-Control"]
    assert "HX-Request" in response["Vary"]


def test_without_a_data_set_the_page_says_what_to_do(client: Client) -> None:
    assert "An administrator sets it up" in page(sign_in(client))
    assert "manage.py import_focus" in page(sign_in(client, PermissionLevel.ADMIN))


def test_without_rows_the_page_says_what_is_happening(viewer: Client, flow: FakeFlow) -> None:
    Dataset.objects.create(name="costs", flow="azure-costs")
    html = page(viewer)
    assert "No costs have arrived yet" in html
    assert "import_focus FILE… --dataset costs" in html


def test_a_first_copy_shows_its_progress(viewer: Client, flow: FakeFlow) -> None:
    Dataset.objects.create(name="costs", flow="azure-costs")
    flow.answer = status(FlowState.SNAPSHOT, behind=None, copied=12_000)
    html = page(viewer)
    assert "12,000 of 50,000 rows are here." in html
    assert '<progress max="50000" value="12000"' in html


def test_errors_are_for_administrators(client: Client, costs: Dataset, flow: FakeFlow) -> None:
    flow.answer = status(FlowState.FAILED, error="destination:10260 refused the token")
    viewer = page(sign_in(client))
    assert "Replication has stopped" in viewer
    assert "refused the token" not in viewer
    assert "refused the token" in page(sign_in(client, PermissionLevel.ADMIN))


def test_a_dead_cluster_fails_no_page(viewer: Client, costs: Dataset, flow: FakeFlow) -> None:
    flow.answer = OSError("no route to host")
    assert "The state of replication is unknown" in page(viewer)


def test_a_query_that_takes_too_long_gets_a_clear_page(
    viewer: Client, costs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_long(**_: object) -> None:
        raise QueryTooLong("The query took longer than 5 s and was stopped.")

    monkeypatch.setattr("finops.choices.load_overview", too_long)
    response = viewer.get("/")
    assert response.status_code == 503
    html = response.content.decode()
    assert "<h1>This question takes too long</h1>" in html
    assert "took longer than 5 s" in html
    assert "Choose a shorter period, fewer groups, or a filter." in html
    assert_no_inline(html)


def test_a_segment_that_is_lost_is_a_page_too(viewer: Client, costs: Dataset) -> None:
    for file in SegmentFile.objects.all():
        SegmentStore().delete(file.name)
    response = viewer.get("/?currency=EUR&metric=list")
    assert response.status_code == 503
    assert "manage.py rebuild_segments" in response.content.decode()


def test_an_open_page_learns_of_newer_figures(viewer: Client, costs: Dataset) -> None:
    assert "Newer figures" not in page(viewer, f"/freshness/?shown={costs.version}")
    assert "Newer figures" in page(viewer, f"/freshness/?shown={costs.version - 1}")
    assert "Newer figures" not in page(viewer, "/freshness/")


@pytest.mark.parametrize(
    ("level", "shown"), [(PermissionLevel.ANALYST, False), (PermissionLevel.ADMIN, True)]
)
def test_the_navigation_follows_the_level(
    client: Client, costs: Dataset, level: PermissionLevel, shown: bool
) -> None:
    html = page(sign_in(client, level))
    assert ('href="/admin/"' in html) is shown
    assert level.label in html
    assert "Ada Lindqvist" in html


def test_signing_out_is_a_post_with_a_token(viewer: Client, costs: Dataset) -> None:
    assert re.search(
        r'<form method="post" action="/oidc/logout/">\s*<input type="hidden" name="csrf',
        page(viewer),
    )


@pytest.mark.parametrize("path", ["/", "/?currency=USD&metric=list", "/nowhere/"])
def test_no_page_has_anything_inline(viewer: Client, costs: Dataset, path: str) -> None:
    assert_no_inline(viewer.get(path).content.decode())


def test_the_sign_in_page_has_nothing_inline(client: Client) -> None:
    assert_no_inline(page(client, "/sign-in/"))


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: defaults.bad_request(request, ValueError("secret")),
        lambda request: defaults.permission_denied(request, PermissionDenied("secret")),
        lambda request: defaults.page_not_found(request, Http404("secret")),
        defaults.server_error,
    ],
)
def test_error_pages_need_no_context(answer: Callable[[HttpRequest], HttpResponse]) -> None:
    html = answer(RequestFactory().get("/")).content.decode()
    assert "FinOps Dashboard" in html
    assert "secret" not in html
    assert_no_inline(html)


def assert_no_inline(html: str) -> None:
    assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:", html)
    assert all("src=" in script for script in re.findall(r"<script[^>]*>", html))
    loaded = re.findall(r'(?:src|<link[^>]*? href)="([^"]+)"', html)
    assert loaded
    assert all(address.startswith("/static/") for address in loaded)


def test_sums_on_the_page_are_sums_of_the_rows(viewer: Client, costs: Dataset) -> None:
    html = page(viewer, "/?currency=EUR&metric=billed")
    total = Decimal("20.52022672899") + 5 + 10 + 10
    assert f'title="{total} EUR"' in html
