"""What a scope shows equals what the oracle makes of its rows alone, and nothing else gets out."""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from uuid import uuid4

import pytest
from django.core.cache import cache as django_cache
from django.test import Client
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import DjangoDbBlocker

from accounts.levels import PermissionLevel
from accounts.mappings import MappingValues, create_mapping, update_mapping
from accounts.models import GroupMapping, User
from accounts.scopes import ALL, NOTHING, Scope
from finops.costs.metrics import Metric
from finops.costs.overview import NoCostsInScope, Overview, UnknownCurrency, load_overview
from finops.freshness import dataset_freshness
from finops.models import Dataset
from replication.status import FlowState
from tests.finops import oracle
from tests.finops.cost_documents import build_all, charge, generated
from tests.finops.flows import FakeFlow, status
from tests.finops.oracle import Row
from tests.finops.people import person

pytestmark = pytest.mark.django_db
ANCHOR = date(2026, 10, 20)
EARLIER = date(2026, 9, 3)


@cache
def generated_rows() -> list[Row]:
    """Rows of sub accounts a and b and of none, and c's, which ends earlier and has one service."""
    rows = generated(start=ANCHOR - timedelta(days=99), days=100, rows=900, seed=7)
    secret = [
        charge(EARLIER, "12.5", SubAccountId="c", ServiceName="Secret", BillingCurrency="CHF"),
        charge(EARLIER, "1.25", SubAccountId="c", ServiceName="Secret", BillingCurrency="EUR"),
        charge(EARLIER, "-3", SubAccountId="", ServiceName="Blank"),
    ]
    return rows + secret


@pytest.fixture(scope="module")
def stored(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Dataset]:
    with django_db_blocker.unblock():
        made = build_all(generated_rows(), "scoped")
        yield made
        made.delete()


@pytest.fixture(autouse=True)
def flow(monkeypatch: pytest.MonkeyPatch) -> FakeFlow:
    fake = FakeFlow(status())
    monkeypatch.setattr("finops.freshness.flow_status", fake)
    django_cache.clear()
    return fake


def shown(
    dataset: Dataset,
    scope: Scope,
    *,
    metric: Metric = Metric.BILLED,
    currency: str | None = None,
) -> Overview:
    return load_overview(dataset=dataset, scope=scope, currency=currency, metric=metric)


scopes = st.sets(st.sampled_from(["a", "b", "c", "A", "nobody's", "%", "a' OR '1'='1"])).map(
    lambda names: Scope(frozenset(names))
)


@settings(max_examples=60, deadline=None)
@given(scope=scopes, metric=st.sampled_from(Metric), data=st.data())
def test_scoped_figures_are_the_oracles(
    stored: Dataset, scope: Scope, metric: Metric, data: st.DataObject
) -> None:
    within = [row for row in generated_rows() if row.get("SubAccountId") in _ids(scope)]
    if not within:
        with pytest.raises(NoCostsInScope):
            shown(stored, scope, metric=metric)
        return
    known = sorted(oracle.currencies(within))
    currency = data.draw(st.sampled_from(known))
    overview = shown(stored, scope, metric=metric, currency=currency)

    days = {oracle.by_charge_day(row) for row in within}
    assert sorted(overview.currencies) == known
    assert overview.anchor.isoformat() == max(days)
    assert overview.rows == sum(row["BillingCurrency"] == currency for row in within)
    for total in overview.totals:
        current = [row for row in within if _in(row, overview.current.start, overview.current.end)]
        expected = oracle.total(current, total.metric.focus_column, currency)
        assert (total.current, total.missing_rows) == (expected.amount, expected.missing)
    services = oracle.group(
        [row for row in within if _in(row, overview.buckets[0].start, overview.buckets[-1].end)],
        metric.focus_column,
        dimension=oracle.column("ServiceName"),
    )
    expected_services = {s: total for (c, _, s), total in services.items() if c == currency}
    assert {row.service: row.total for row in overview.services} == expected_services


def _ids(scope: Scope) -> frozenset[str]:
    assert scope.sub_accounts is not None
    return scope.sub_accounts


def _in(row: Row, start: date, end: date) -> bool:
    return start.isoformat() <= oracle.by_charge_day(row) < end.isoformat()


def test_the_parts_and_the_rest_make_the_whole(stored: Dataset) -> None:
    whole = shown(stored, ALL, currency="EUR")
    parts = [shown(stored, Scope(frozenset({name})), currency="EUR") for name in "abc"]
    both = shown(stored, Scope(frozenset("abc")), currency="EUR")

    assert both.rows == sum(part.rows for part in parts)
    unassigned = [row for row in generated_rows() if not row.get("SubAccountId")]
    assert whole.rows == both.rows + sum(row["BillingCurrency"] == "EUR" for row in unassigned)


def test_one_scopes_answer_is_never_anothers(stored: Dataset) -> None:
    first = shown(stored, Scope(frozenset({"c"})), currency="EUR")
    again = shown(stored, Scope(frozenset({"c"})), currency="EUR")

    assert again is first
    assert shown(stored, ALL, currency="EUR").rows != first.rows


def test_a_message_names_the_scopes_currencies_only(stored: Dataset) -> None:
    with pytest.raises(UnknownCurrency) as refusal:
        shown(stored, Scope(frozenset({"a"})), currency="CHF")

    assert "CHF" not in str(refusal.value)


def test_an_empty_scope_reads_nothing(stored: Dataset) -> None:
    with pytest.raises(NoCostsInScope):
        shown(stored, NOTHING)


def test_the_latest_day_is_the_scopes(stored: Dataset, flow: FakeFlow) -> None:
    flow.answer = status(FlowState.SNAPSHOT, copied=12_000)
    known = dataset_freshness(stored, Scope(frozenset({"c"})))

    assert known.latest_day == EARLIER
    assert dataset_freshness(stored, NOTHING).latest_day is None
    assert dataset_freshness(stored).latest_day == ANCHOR
    assert (known.copied, known.total) == (None, None)


# --- the page ---------------------------------------------------------------------------------


def sign_in_scoped(client: Client, *sub_accounts: str) -> User:
    """Somebody whose one group shows these sub accounts."""
    somebody = person()
    mapping = GroupMapping.objects.get(group_oid=somebody.group_oids[0])
    values = MappingValues(mapping.group_oid, PermissionLevel.VIEWER, scope=sub_accounts)
    update_mapping(mapping, values)
    client.force_login(somebody, backend="accounts.oidc.EntraBackend")
    return somebody


def page(client: Client, path: str = "/", **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == 200
    return response.content.decode()


@pytest.fixture
def costs() -> Dataset:
    return build_all(
        [
            charge(EARLIER, "11.11", SubAccountId="mine", ServiceName="Ours"),
            charge(ANCHOR, "7777.77", SubAccountId="theirs", ServiceName="Forbidden"),
            charge(ANCHOR, "8888.88", SubAccountId=None, ServiceName="Unassigned"),
            charge(ANCHOR, "9", SubAccountId="theirs", BillingCurrency="CHF"),
        ]
    )


FORBIDDEN = ("Forbidden", "Unassigned", "7,777", "7777", "8,888", "8888", "CHF", "20 Oct 2026")


@pytest.mark.parametrize("path", ["/", "/?currency=CHF", "/?metric=list", "/freshness/"])
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_page_shows_nothing_from_outside(
    client: Client, costs: Dataset, path: str, headers: dict[str, str]
) -> None:
    sign_in_scoped(client, "mine")
    html = page(client, path, **headers)

    assert not [text for text in FORBIDDEN if text in html]
    assert "3 Sep 2026" in html


def test_a_page_without_a_row_says_so(client: Client, costs: Dataset) -> None:
    sign_in_scoped(client, "nobody's")

    html = page(client)
    assert "No costs in your sub accounts" in html
    assert not [text for text in (*FORBIDDEN, "3 Sep 2026", "mine") if text in html]


def test_unmapped_people_see_all_until_a_mapping_is_scoped(client: Client, costs: Dataset) -> None:
    somebody = person()
    User.objects.update(group_oids=[])
    client.force_login(somebody, backend="accounts.oidc.EntraBackend")
    assert "Forbidden" in page(client)

    create_mapping(group_oid=uuid4(), level=PermissionLevel.VIEWER, scope=["mine"])

    html = page(client)
    assert "No costs are shared with you yet" in html
    assert not [text for text in FORBIDDEN if text in html]


def test_an_open_pages_remembered_currency_gives_way(client: Client, costs: Dataset) -> None:
    somebody = person()
    client.force_login(somebody, backend="accounts.oidc.EntraBackend")
    assert "CHF" in page(client, "/?currency=CHF")
    mapping = GroupMapping.objects.get()
    update_mapping(
        mapping, MappingValues(mapping.group_oid, PermissionLevel.VIEWER, scope=("mine",))
    )

    html = page(client)
    assert "CHF" not in html
    assert "11.11" in html


def test_a_page_of_a_part_says_that_it_is_one(client: Client, costs: Dataset) -> None:
    sign_in_scoped(client, "mine", "another")
    assert "Only the costs of the 2 sub accounts that you may see" in page(client)

    client.logout()
    client.force_login(person(), backend="accounts.oidc.EntraBackend")
    assert "Only the costs" not in page(client)


@pytest.mark.parametrize("known", [True, False])
def test_while_graph_is_down_nobody_sees_more(client: Client, costs: Dataset, known: bool) -> None:
    sign_in_scoped(client, "mine")
    hour_ago = timezone.now() - timedelta(hours=1)
    User.objects.update(groups_fetched_at=hour_ago if known else None)

    html = page(client)
    assert ("3 Sep 2026" in html) is known
    assert ("Your groups are not known yet" in html) is not known
    assert not [text for text in FORBIDDEN if text in html]


def test_segments_are_for_administrators_of_all_rows(client: Client, costs: Dataset) -> None:
    segments = "/admin/finops/segment/"
    client.force_login(person(PermissionLevel.ADMIN), backend="accounts.oidc.EntraBackend")
    assert segments in page(client, "/admin/")
    assert client.get(segments).status_code == 200

    mapping = GroupMapping.objects.get()
    create_mapping(group_oid=uuid4(), level=PermissionLevel.ADMIN)
    update_mapping(
        mapping, MappingValues(mapping.group_oid, PermissionLevel.ADMIN, scope=("mine",))
    )
    assert segments not in page(client, "/admin/")
    assert client.get(segments).status_code == 403
    number = costs.segments.get(day=ANCHOR).pk
    assert client.get(f"{segments}{number}/change/").status_code == 403
