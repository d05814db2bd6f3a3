"""``manage.py import_focus``: from files into the source of a data set's flow."""

import io
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pymongo import MongoClient
from pymongo.collection import Collection

from finops.management.commands import import_focus
from finops.models import Dataset
from replication.models import Connection, Flow
from replication.mongo import close_clients
from tests.finops.focus_rows import SAMPLE, row, write_csv

pytestmark = pytest.mark.django_db


@pytest.fixture
def source(mongo_server: str) -> Iterator[Collection[dict[str, Any]]]:
    """The source collection of a flow 'costs', which a data set 'costs' reads."""
    name = f"import_{uuid.uuid4().hex[:8]}"
    cluster = Connection.objects.create(
        name="cluster", uri=mongo_server, auth_method="connection_string"
    )
    Flow.objects.create(
        name="costs",
        source=cluster,
        source_database=name,
        collection="focus",
        destination=cluster,
        destination_database=f"{name}_copy",
        destination_collection="focus",
    )
    Dataset.objects.create(name="costs", flow="costs")
    with MongoClient[dict[str, Any]](mongo_server) as client:
        yield client[name]["focus"]
    close_clients()


def run(*arguments: object) -> str:
    out = io.StringIO()
    call_command("import_focus", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_the_official_sample(source: Collection[dict[str, Any]], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    said = run(SAMPLE, "--report", report)
    assert source.count_documents({}) == 1000
    assert "Rows: 1,000 read, 1,000 inserted, 0 unchanged, 0 removed, 0 set aside" in said
    table = [line.split() for line in said.splitlines()]
    assert [line[:3] for line in table if line[:1] == ["USD"]] == [
        ["USD", "2024-09", "999"],
        ["USD", "2024-10", "1"],
        ["USD", "all", "1,000"],
    ]
    totals = ["20.52022672899", "14.97651418586", "20.39090575119", "14.97626039326"]
    assert ["USD", "all", "1,000", *totals] in table
    assert "other letter case than the specification's" in said
    told = json.loads(report.read_text())
    assert told["rows"] == {
        "read": 1000,
        "inserted": 1000,
        "unchanged": 0,
        "removed": 0,
        "set_aside": 0,
    }
    missing = next(part for part in told["defects"] if part["rule"] == "MISSING")
    assert (missing["column"], missing["rows"]) == ("ContractedCost", 7)
    assert missing["first"][0] == {"file": str(SAMPLE), "line": 927}


def test_rows_set_aside_are_listed_without_their_content(
    source: Collection[dict[str, Any]], tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "a.csv", [row(), row(BilledCost="a secret"), row()])
    report = tmp_path / "report.json"
    assert "1 set aside" in run(path)
    run(path, "--report", report)
    assert json.loads(report.read_text())["set_aside"] == [
        {"file": str(path), "line": 3, "rule": "MISSING", "columns": ["BilledCost"]}
    ]
    assert "a secret" not in report.read_text()
    assert source.count_documents({}) == 2


def test_missing_rows_go_unless_they_are_kept(
    source: Collection[dict[str, Any]], tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "a.csv", [row(), row(BilledCost="2")])
    run(path)
    write_csv(path, [row()])
    assert "0 removed" in run(path, "--keep-missing")
    assert "1 removed" in run(path, "--dataset", "costs")
    assert source.count_documents({}) == 1


@pytest.mark.usefixtures("source")
def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        run(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(CommandError, match="21 of the mandatory columns are missing"):
        run(path)
    with pytest.raises(CommandError, match="there is no folder"):
        run(SAMPLE, "--report", tmp_path / "none" / "report.json")
    with pytest.raises(CommandError, match=r"no data set 'other'; choose with --dataset: costs\."):
        run(SAMPLE, "--dataset", "other")
    Dataset.objects.create(name="astray", flow="gone")
    with pytest.raises(CommandError, match="several data sets; choose with --dataset: astray"):
        run(SAMPLE)
    with pytest.raises(CommandError, match="reads the flow 'gone', which does not exist"):
        run(SAMPLE, "--dataset", "astray")


@pytest.mark.usefixtures("source")
def test_a_connection_that_cannot_work_is_named_with_its_problems() -> None:
    Connection.objects.update(uri="mongodb://db.example.com/?w=0", auth_method="entra")
    with pytest.raises(CommandError, match=r"Connection 'cluster': .*db\.example\.com"):
        run(SAMPLE)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("source")
def test_progress_is_a_bar_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal)
    run(SAMPLE)
    assert "1,000 rows" in terminal.getvalue()
    assert "100%" in terminal.getvalue()
    monkeypatch.setattr("sys.stderr", pipe)
    monkeypatch.setattr(import_focus, "_LINE_EVERY", 0.0)
    run(SAMPLE)
    assert pipe.getvalue().splitlines()[-1] == "import: 1,000 rows, 100%"


def test_no_data_set_yet() -> None:
    with pytest.raises(CommandError, match="There is no data set yet"):
        run(SAMPLE)


def test_patterns_name_files(source: Collection[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "parts" / "1").mkdir(parents=True)
    write_csv(tmp_path / "parts" / "a.csv", [row()])
    write_csv(tmp_path / "parts" / "1" / "b.csv", [row()])
    write_csv(tmp_path / "[2026].csv", [row(BilledCost="3")])
    said = run(f"{tmp_path}/parts/**/*.csv", tmp_path / "[2026].csv")
    assert "3 inserted" in said
    with pytest.raises(CommandError, match="No file matches"):
        run(f"{tmp_path}/parts/*.parquet")
    with pytest.raises(CommandError, match=r"Is a directory\. Name its files"):
        run(tmp_path / "parts")
