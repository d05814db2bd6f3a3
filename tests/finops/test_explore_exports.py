"""Files say what the page says: numbers as numbers, no formulas, every row, and only one's own."""

import csv
import io
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from django.test import Client

from accounts.levels import PermissionLevel
from accounts.scopes import ALL
from finops.costs.dimensions import DIMENSIONS
from finops.costs.engine import CostQueryFailed
from finops.costs.explore import explore
from finops.costs.question import Comparison, Preset, Question
from finops.explore.export_views import _told
from finops.explore.exports import csv_of, sheet_of, xlsx_of
from finops.models import Dataset
from tests.finops import oracle
from tests.finops.cost_documents import build_all, charge
from tests.finops.focus_rows import SAMPLE
from tests.finops.people import sign_in

pytestmark = pytest.mark.django_db
ANCHOR = date(2026, 10, 20)
SERVICE = DIMENSIONS["service_name"]
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture
def costs() -> Dataset:
    return build_all(
        [
            charge(ANCHOR, "2.500000000000000001", ServiceName="Compute"),
            charge(ANCHOR, "-0.5", ServiceName="=HYPERLINK(\"http://x\")"),
            charge(ANCHOR, None, ServiceName=None),
            charge(date(2026, 9, 20), "2", ServiceName="Compute"),
        ]
    )  # fmt: skip


@pytest.fixture
def analyst(client: Client) -> Client:
    return sign_in(client, PermissionLevel.ANALYST)


def content(client: Client, path: str) -> bytes:
    response = client.get(path)
    assert response.status_code == 200
    assert response["Content-Disposition"].startswith("attachment;")
    return response.getvalue()


def cells(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline="")))


def xlsx(file: bytes) -> list[list[str | float]]:
    """The first sheet's cells: text, numbers; a formula anywhere is an error."""
    with zipfile.ZipFile(io.BytesIO(file)) as book:
        sheet = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
        strings = ET.fromstring(book.read("xl/sharedStrings.xml"))
    texts = ["".join(one.itertext()) for one in strings.iter(f"{SHEET}si")]
    assert not list(sheet.iter(f"{SHEET}f"))

    def value(cell: ET.Element) -> str | float:
        text = cell[0].text or "0"
        return texts[int(text)] if cell.get("t") == "s" else float(text)

    return [[value(cell) for cell in row if len(cell)] for row in sheet.iter(f"{SHEET}row")]


QUERY = "period=this-month&group=service_name&compare=period"


def test_csv_has_every_digit_and_no_formula(analyst: Client, costs: Dataset) -> None:
    heads, *rows = cells(content(analyst, f"/explore/export.csv?{QUERY}"))
    assert heads[:7] == [
        "Service",
        "Effective cost EUR 2026-10-01 to 2026-10-20",
        "Effective cost EUR 2026-09-01 to 2026-09-20",
        "Difference",
        "Change",
        "Share",
        "Rows",
    ]
    assert heads[7:] == [f"2026-10-{day:02}" for day in range(1, 21)]
    assert [row[0] for row in rows] == ["Compute", "(none)", '\'=HYPERLINK("http://x")', "Total"]
    assert rows[0][1:4] == ["2.500000000000000001", "2", "0.500000000000000001"]
    assert rows[-1][1] == "2.000000000000000001"
    assert Decimal(rows[-1][1]) == sum(Decimal(row[1]) for row in rows[:-1])


def test_xlsx_has_numbers_as_numbers_and_text_as_text(analyst: Client, costs: Dataset) -> None:
    heads, *rows = xlsx(content(analyst, f"/explore/export.xlsx?{QUERY}"))
    assert heads[0] == "Service"
    assert rows[0][:3] == ["Compute", 2.5, 2.0]
    assert rows[2][:2] == ['=HYPERLINK("http://x")', -0.5]
    assert rows[-1][0] == "Total"


def test_files_and_page_agree() -> None:
    dataset = build_all(oracle.rows(SAMPLE))
    question = Question(
        when=Preset.EVERYTHING, groups=(SERVICE,), top=5, comparison=Comparison.YEAR
    )
    answer = explore(dataset, ALL, question)
    table = list(csv.reader(csv_of(sheet_of(answer))))
    shown = [*answer.lines, answer.rest, answer.total]
    assert [Decimal(row[1]) for row in table[1:]] == [line and line.cost for line in shown]
    for row, line in zip(table[1:], shown, strict=True):
        assert line is not None
        assert [Decimal(text) for text in row[7:]] == list(line.steps)
    sheet = xlsx(xlsx_of(sheet_of(answer)))
    assert [row[1] for row in sheet[1:]] == [float(row[1]) for row in table[1:]]


def test_without_a_group_or_a_charge_there_is_still_a_file(analyst: Client, costs: Dataset) -> None:
    assert [row[0] for row in cells(content(analyst, "/explore/export.csv"))] == [
        "Costs", "All costs", "Total",
    ]  # fmt: skip
    nothing = "period=custom&from=2020-01-01&to=2020-01-02&group=service_name&group=region_name"
    assert cells(content(analyst, f"/explore/export.csv?{nothing}"))[1][:4] == [
        "Total",
        "",
        "0",
        "",
    ]
    assert xlsx(content(analyst, f"/explore/export.xlsx?{nothing}"))[1][0] == "Total"


def test_rows_come_back_from_their_focus_file(analyst: Client, tmp_path: Path) -> None:
    build_all(oracle.rows(SAMPLE), "first")
    path = tmp_path / "rows.csv"
    path.write_bytes(content(analyst, "/explore/rows.csv?period=all"))
    exported = oracle.rows(path)
    assert {name: oracle.total(exported, name, "USD") for name in oracle.METRICS} == {
        name: oracle.total(oracle.rows(SAMPLE), name, "USD") for name in oracle.METRICS
    }
    for dimension in (oracle.column("ResourceId"), oracle.column("Id"), oracle.tag("org")):
        for bucket in (oracle.by_charge_day, oracle.by_billing_month):
            assert oracle.group(exported, "BilledCost", dimension=dimension, bucket=bucket) == (
                oracle.group(oracle.rows(SAMPLE), "BilledCost", dimension=dimension, bucket=bucket)
            )


def test_the_rows_file_keeps_the_filters_and_has_no_formula(
    analyst: Client, costs: Dataset
) -> None:
    query = "period=this-month&filter.service_name=%3DHYPERLINK(%22http://x%22)"
    heads, *rows = cells(content(analyst, f"/explore/rows.csv?{query}"))
    assert len(rows) == 1
    found = dict(zip(heads, rows[0], strict=True))
    assert found["ServiceName"] == '\'=HYPERLINK("http://x")'
    assert found["EffectiveCost"] == "-0.5"


def test_a_failure_half_way_breaks_the_file_off() -> None:
    def lines() -> object:
        yield "BilledCost"
        raise CostQueryFailed("gone")

    told = _told(lines(), "costs")  # type: ignore[arg-type]
    assert next(told) == "BilledCost"
    with pytest.raises(CostQueryFailed):
        next(told)
