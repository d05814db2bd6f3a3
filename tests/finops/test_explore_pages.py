"""The explorer's pages: what they show, where they lead, who may see what of them."""

import html
import re
from datetime import date
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.levels import PermissionLevel
from accounts.mappings import MappingValues, update_mapping
from accounts.models import GroupMapping
from finops.costs.engine import QueryTooLong
from finops.models import Dataset
from tests.finops.cost_documents import build_all, charge
from tests.finops.flows import FakeFlow, status
from tests.finops.people import person, sign_in
from tests.finops.test_views import assert_no_inline

pytestmark = pytest.mark.django_db
ANCHOR = date(2026, 10, 20)
SEPTEMBER = date(2026, 9, 3)
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def flow(monkeypatch: pytest.MonkeyPatch) -> FakeFlow:
    fake = FakeFlow(status())
    monkeypatch.setattr("finops.freshness.flow_status", fake)
    cache.clear()
    return fake


@pytest.fixture
def costs() -> Dataset:
    return build_all(
        [
            charge(ANCHOR, "20.52022672899", RegionName="North", Tags='{"team": "a&b"}'),
            charge(ANCHOR, "5", ServiceName="Storage & <Backup>", RegionName=None),
            charge(SEPTEMBER, "10"),
            charge(ANCHOR, "7", BillingCurrency="USD"),
        ]
    )


@pytest.fixture
def viewer(client: Client) -> Client:
    return sign_in(client)


def page(client: Client, path: str = "/explore/", **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == 200
    return str(response.content.decode())


def links(text: str, name: str) -> dict[str, list[str]]:
    """The query of the link whose text is ``name``."""
    found = re.search(rf'href="([^"]+)"[^>]*>\s*(?:<[^>]+>)*{re.escape(name)}', text)
    assert found, f"no link {name!r}"
    return parse_qs(urlsplit(html.unescape(found[1])).query, keep_blank_values=True)


def chosen(text: str) -> dict[str, str]:
    """What each select of the page says."""
    return {
        name: option
        for name, body in re.findall(r'<select id="([\w-]+)".*?>(.*?)</select>', text, re.S)
        for option in re.findall(r'value="([^"]*)" selected', body)
    }


def test_the_page_shows_its_question_and_its_answer(viewer: Client, costs: Dataset) -> None:
    text = page(
        viewer, "/explore/?metric=billed&period=this-month&group=service_name&compare=period"
    )
    assert "Billed cost by service" in text
    assert ">€25.52</data>" in text
    assert "exactly 25.52022672899, 2 rows" in text
    assert "in 1–20 Sep" in text
    assert chosen(text) | {"filter-by": ""} == {
        "metric": "billed", "period": "this-month", "group-1": "service_name", "group-2": "",
        "compare": "period", "grain": "", "basis": "charge", "top": "20", "currency": "EUR",
        "filter-by": "",
    }  # fmt: skip


def test_names_from_the_data_are_escaped(viewer: Client, costs: Dataset) -> None:
    for path in (
        "/explore/?group=service_name&group=tag:team",
        "/explore/values/?dimension=service_name",
    ):
        text = page(viewer, path)
        assert "Storage &amp; &lt;Backup&gt;" in text
        assert "<Backup>" not in text


def test_every_line_leads_to_a_closer_look_at_it(viewer: Client, costs: Dataset) -> None:
    text = page(viewer, "/explore/?group=service_name&period=this-month&sort=name")
    query = links(text, "Compute")
    assert query["filter.service_name"] == ["Compute"]
    assert query["group"] == ["resource_name"]
    assert (query["period"], query.get("sort")) == (["this-month"], None)


def test_a_line_without_a_value_is_looked_at_too(viewer: Client, costs: Dataset) -> None:
    text = page(viewer, "/explore/?group=region_name&group=service_name")
    assert "(none)" in text
    query = links(text, "(none)")
    assert query["filter.region_name"] == [""]
    assert query["group"] == ["resource_name"]
    narrowed = page(viewer, "/explore/?filter.region_name=&period=this-month")
    assert ">€5.00</data>" in narrowed


def test_heads_sort_and_turn_round(viewer: Client, costs: Dataset) -> None:
    text = page(viewer, "/explore/?group=service_name&sort=name")
    assert 'aria-sort="ascending"' in text
    assert links(text, "Service")["sort"] == ["-name"]
    assert "sort" not in links(text, "21 Sep – 20 Oct")
    table = text.split("<tbody>")[-1]
    assert table.index("Compute</a>") < table.index("Storage &amp; ")


def test_filters_are_listed_and_can_be_taken_away(viewer: Client, costs: Dataset) -> None:
    text = page(
        viewer, "/explore/?filter.service_name=Compute&filter.region_name=&group=service_name"
    )
    assert "<b>Compute</b>" in text
    assert "<b>(none)</b>" in text
    without = re.findall(r'class="remove" href="([^"]+)"', text)
    assert [
        ("filter.service_name=Compute" in one, "filter.region_name" in one) for one in without
    ] == [
        (True, False),
        (False, True),
    ]


def test_a_bad_address_is_said_and_the_page_is_of_use(viewer: Client, costs: Dataset) -> None:
    text = page(viewer, "/explore/?metric=net&group=password&filter.x=1&period=%00&top=-1")
    assert "Not all of this address could be read" in text
    assert "it is one of: billed, effective, list, contracted" in text
    assert ">€25.52</data>" in text


def test_the_currency_that_was_chosen_last_is_kept(viewer: Client, costs: Dataset) -> None:
    assert ">$7.00</data>" in page(viewer, "/explore/?currency=USD")
    assert ">$7.00</data>" in page(viewer, "/explore/?group=service_name")
    assert ">$7.00</data>" in page(viewer, "/")
    assert "$" not in page(viewer, "/explore/?currency=EUR").split("</main>")[0]
    assert chosen(page(viewer))["currency"] == "EUR"


def test_a_currency_without_a_charge_is_said(viewer: Client, costs: Dataset) -> None:
    text = page(viewer, "/explore/?currency=GBP")
    assert "You see no charge in that currency: EUR is shown." in text


def test_nothing_matches_is_no_error(viewer: Client, costs: Dataset) -> None:
    text = page(viewer, "/explore/?filter.service_name=Nowhere&group=service_name")
    assert "No charge matches" in text
    assert ">€0.00</data>" in text


def test_a_comparison_with_less_than_a_period_says_so(viewer: Client, costs: Dataset) -> None:
    text = page(viewer, "/explore/?period=this-month&compare=year")
    assert "The data begins with 3 Sep 2026" in text


def test_htmx_gets_the_main_part_and_the_tidy_address(viewer: Client, costs: Dataset) -> None:
    response = viewer.get("/explore/?metric=list&group=&from=&period=all", headers=HTMX)
    assert response.content.decode().startswith("<title>Cost explorer")
    assert response["HX-Push-Url"] == "/explore/?metric=list&period=all"


def test_values_are_a_page_of_their_own_or_a_part(viewer: Client, costs: Dataset) -> None:
    path = "/explore/values/?dimension=service_name&q=comp&metric=list&filter.service_name=Gone"
    whole, part = page(viewer, path), page(viewer, path, **HTMX)
    assert "<h1>Filter by Service</h1>" in whole
    assert part.lstrip().startswith("<form")
    for text in (whole, part):
        assert 'value="Compute">' in text
        assert 'value="Gone" checked>' in text
        assert "Backup" not in text
        assert 'name="metric" value="list"' in text
        assert 'type="hidden" name="filter.service_name"' not in text


@pytest.mark.parametrize("dimension", ["", "password", "tag:"])
def test_values_of_nothing_lead_back(viewer: Client, costs: Dataset, dimension: str) -> None:
    path = f"/explore/values/?dimension={dimension}&metric=list"
    assert viewer.get(path)["Location"] == "/explore/?metric=list&period=30-days"
    assert viewer.get(path, headers=HTMX).status_code == 204


def test_rows_and_files_are_for_analysts(client: Client, costs: Dataset) -> None:
    text = page(sign_in(client))
    assert "/explore/rows" not in text
    assert "/explore/export" not in text
    for path in ("rows/", "rows.csv", "export.csv", "export.xlsx"):
        assert client.get(f"/explore/{path}").status_code == 403
    text = page(sign_in(client, PermissionLevel.ANALYST), "/explore/?group=service_name")
    assert links(text, "Rows<span")["filter.service_name"] == ["Compute"]
    assert links(text, "XLSX")["group"] == ["service_name"]


def test_rows_have_the_columns_that_were_chosen(client: Client, costs: Dataset) -> None:
    analyst = sign_in(client, PermissionLevel.ANALYST)
    text = page(analyst, "/explore/rows/?period=all&column=tags&column=list_cost&column=password")
    assert re.findall(r"<th scope=\"col\"[^>]*>([^<]+)", text) == ["List cost", "Tags"]
    assert "team: a&amp;b" in text
    assert "3 rows" in text
    assert "No row matches" in page(analyst, "/explore/rows/?filter.service_name=Nowhere")


def test_rows_are_turned_by_links(client: Client) -> None:
    build_all(charge(ANCHOR, str(n)) for n in range(120))
    analyst = sign_in(client, PermissionLevel.ANALYST)
    first = page(analyst, "/explore/rows/?column=billed_cost")
    following = re.search(r'href="([^"]+)" rel="next"', first)
    assert following
    second = page(analyst, html.unescape(following[1]))
    assert 'rel="prev"' in second
    amounts = [
        set(re.findall(r'title="([\d.]+) EUR"', text.split("<tbody>")[1]))
        for text in (first, second)
    ]
    assert [len(one) for one in amounts] == [50, 50]
    assert not amounts[0] & amounts[1]
    for bad in ("after=x", "after=2026-13-01~1", "before=~", "after=2026-10-20"):
        assert "120 rows" in page(analyst, f"/explore/rows/?{bad}")


@pytest.mark.parametrize("path", ["/explore/", "/explore/rows/", "/explore/export.csv"])
def test_without_data_the_pages_say_so(client: Client, path: str) -> None:
    analyst = sign_in(client, PermissionLevel.ANALYST)
    assert "No data set is set up yet" in page(analyst, path)
    Dataset.objects.create(name="costs", flow="flow")
    text = page(analyst, path)
    assert "No costs have arrived yet" in text
    assert "<h1>Cost explorer</h1>" in text
    assert f'hx-get="{path}"' in text


def test_a_query_that_takes_too_long_gets_a_clear_page(
    viewer: Client, costs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_long(*_: object) -> None:
        raise QueryTooLong("The query took longer than 5 s and was stopped.")

    monkeypatch.setattr("finops.explore.views.explore", too_long)
    response = viewer.get("/explore/")
    assert response.status_code == 503
    assert "took longer than 5 s" in response.content.decode()


@pytest.mark.parametrize(
    "path",
    [
        "/explore/?group=service_name&group=region_name&compare=year&cumulative=1",
        "/explore/values/?dimension=tag:team",
        "/explore/rows/",
    ],
)
def test_no_page_has_anything_inline(client: Client, costs: Dataset, path: str) -> None:
    assert_no_inline(page(sign_in(client, PermissionLevel.ANALYST), path))


# --- Scopes -----------------------------------------------------------------------------------

FORBIDDEN = (
    "Forbidden", "Unassigned", "Secret", "hush", "7,777", "7777", "8,888", "8888", "CHF", "20 Oct",
    "theirs",
)  # fmt: skip
QUERIES = (
    "",
    "?group=service_name&group=sub_account_id&period=all&compare=year",
    "?group=tag:team&period=all",
    "?group=resource_name&period=all&cumulative=1",
    "?currency=XAU&period=all",
    "?filter.region_name=North&basis=billing&period=all",
    "?period=custom&from=2026-09-01&to=2026-09-30",
)


@pytest.fixture
def shared() -> Dataset:
    return build_all(
        [
            charge(SEPTEMBER, "11.11", SubAccountId="mine", ServiceName="Ours"),
            charge(
                ANCHOR,
                "7777.77",
                SubAccountId="theirs",
                ServiceName="Forbidden",
                RegionName="Secret region",
                ResourceName="Secret resource",
                Tags='{"team": "Secret", "hush": "1"}',
                x_Secret="Secret",
            ),
            charge(ANCHOR, "8888.88", SubAccountId=None, ServiceName="Unassigned"),
            charge(ANCHOR, "9", SubAccountId="theirs", BillingCurrency="CHF"),
        ]
    )  # fmt: skip


def scoped(client: Client, level: PermissionLevel = PermissionLevel.ANALYST) -> Client:
    somebody = person(level)
    mapping = GroupMapping.objects.get(group_oid=somebody.group_oids[0])
    update_mapping(mapping, MappingValues(mapping.group_oid, level, scope=("mine",)))
    client.force_login(somebody, backend="accounts.oidc.EntraBackend")
    return client


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(
    ("path", "dimension"),
    [
        ("/explore/", ""),
        ("/explore/rows/", ""),
        ("/explore/rows.csv", ""),
        ("/explore/export.csv", ""),
        ("/explore/values/", "service_name"),
        ("/explore/values/", "tag:team"),
    ],
)
def test_nothing_from_outside_a_scope_gets_out(
    client: Client, shared: Dataset, path: str, dimension: str, query: str
) -> None:
    scoped(client)
    response = client.get(f"{path}{query or '?'}&dimension={dimension}")
    assert response.status_code == 200
    text = (response.getvalue() if response.streaming else response.content).decode()
    assert not [one for one in FORBIDDEN if one in text]


def test_analysts_of_a_part_export_that_part_though_they_view_all(
    client: Client, shared: Dataset
) -> None:
    """Each page shows what the grants of its own level show."""
    somebody = person(PermissionLevel.ANALYST)
    mapping = GroupMapping.objects.get()
    values = MappingValues(mapping.group_oid, PermissionLevel.ANALYST, scope=("mine",))
    update_mapping(mapping, values)
    other = person(PermissionLevel.VIEWER, "Somebody else")
    somebody.group_oids += other.group_oids
    somebody.save()
    client.force_login(somebody, backend="accounts.oidc.EntraBackend")
    assert "Forbidden" in page(client, "/explore/?group=service_name&period=all")
    response = client.get("/explore/export.csv?group=service_name&period=all")
    assert "Ours" in (text := response.getvalue().decode())
    assert "Forbidden" not in text


def test_without_a_row_the_explorer_says_so(client: Client) -> None:
    build_all([charge(ANCHOR, SubAccountId="theirs")])
    assert "No costs in your sub accounts" in page(scoped(client))
