"""Connections and flows from a file: planned, applied as a whole, and written back."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from replication.declaration import CONNECTION_FIELDS, Declaration, parse, render
from replication.declaring import current, make_plan
from replication.errors import InvalidConfiguration
from replication.models import Connection, Flow

FILE = """\
connections:
  here: {uri: "mongodb://localhost:1/", auth_method: connection_string}
  there: {uri: "mongodb://localhost:2/", auth_method: connection_string}
flows:
  costs:
    source: here
    source_database: billing
    collection: rows
    destination: there
    destination_database: reporting
    destination_collection: rows
    partition_fields: [Day]
"""
_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
_NAMES = st.from_regex(r"[a-z0-9-]{1,8}", fullmatch=True)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=5,
)
_CONNECTIONS = st.fixed_dictionaries(dict.fromkeys(CONNECTION_FIELDS, _TEXT))
_FLOWS = st.fixed_dictionaries(
    {
        **dict.fromkeys(("source", "source_database", "collection"), _TEXT),
        **dict.fromkeys(("destination", "destination_database", "destination_collection"), _TEXT),
        "partition_fields": st.lists(_TEXT, max_size=2),
        "enabled": st.booleans(),
        "on_history_lost": st.sampled_from(["snapshot", "stop"]),
        "filter": st.dictionaries(_TEXT, _VALUES, max_size=2),
        "field_rules": st.lists(_VALUES, max_size=2),
        "hash_key_ref": _TEXT,
        "copy_indexes": st.booleans(),
        "on_poison": st.sampled_from(["dead_letter", "stop"]),
        "write_mode": st.sampled_from(["automatic", "transactions", "guarded"]),
        "beyond_history": st.booleans(),
    }
)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("flows", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "flows.yaml"
    path.write_text(FILE)
    return path


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(InvalidConfiguration) as error:
        parse(text)
    return error.value.problems


@given(
    st.dictionaries(_NAMES, _CONNECTIONS, max_size=3), st.dictionaries(_NAMES, _FLOWS, max_size=3)
)
def test_what_is_written_is_read_back(connections: dict, flows: dict) -> None:  # type: ignore[type-arg]
    declaration = Declaration(connections, flows)
    assert parse(render(declaration)) == declaration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", "line 1: no YAML: "),
        ("- 1", "line 1, the file: is a list: expected a mapping."),
        ("flow: {}", "line 1, flow: is unknown: expected one of connections, flows."),
        ("connections:\n  1: {uri: x}", "line 2, connections: has a name that is int: "),
        ("connections:\n  a: {uri: 5}", "line 2, connections.a.uri: is int: expected text, put"),
        ("connections:\n  a: {}", "line 2, connections.a: lacks uri."),
        ("connections:\n  a: {uri: x}\n  a: {uri: y}", "line 3, connections.a: is there twice."),
        ("connections:\n  a:\n    uri: x\n    pwd: hunter2", "line 4, connections.a.pwd: is unk"),
        (FILE + "    enabled: 'no'\n", "line 13, flows.costs.enabled: is text: expected true or"),
        (FILE.replace("[Day]", "[1]"), "line 12, flows.costs.partition_fields[0]: is int: "),
        (FILE.replace("[Day]", "Day"), "line 12, flows.costs.partition_fields: is text: "),
        (FILE.replace("[Day]", "[Day]\n    filter: 1"), "line 13, flows.costs.filter: is int: exp"),
        (
            FILE + "    filter: {Start: {$gt: 2026-01-01}}\n",
            "line 13, flows.costs.filter.Start.$gt: is timestamp: put text in quotes",
        ),
        (FILE + "    filter: {a: .nan}\n", "line 13, flows.costs.filter.a: is no number that"),
        (FILE + "    filter: &a {a: *a}\n", "line 13, flows.costs.filter.a.a.a"),
        (FILE + "    field_rules: {a: b}\n", "line 13, flows.costs.field_rules: is a mapping"),
        (
            FILE.replace("collection: rows\n    dest", "collection: ['a,b']\n    dest"),
            "line 8, flows.costs.collection: holds a comma",
        ),
        ("connections: !!python/object:os.system {}", "line 1, connections: "),
        ("connections: &a {a: *a}", "line 1, connections.a.a: is unknown"),
        ("a: \x00", "no YAML: it holds a character"),
    ],
)
def test_every_problem_names_its_line(text: str, expected: str) -> None:
    problem = problems(text)[0]
    assert problem.startswith(expected), problem
    assert "hunter2" not in problem


def test_all_problems_are_told_at_once_in_order() -> None:
    text = "connections:\n  a: {uri: 1}\nflows:\n  b: {enabled: 3}\nmore: 1"
    assert [each.partition(",")[0] for each in problems(text)] == [
        *("line 2", "line 4", "line 4", "line 5")
    ]


def test_an_empty_file_declares_nothing() -> None:
    assert parse("") == parse("connections:\nflows:\n") == Declaration({}, {})


@pytest.mark.django_db
def test_a_plan_comes_first_and_is_applied_only_when_told(file: Path) -> None:
    with pytest.raises(CommandError, match="Give --yes"):
        run("apply", str(file))
    assert not Connection.objects.exists()
    told = run("apply", str(file), "--yes")
    assert "+ flows.costs: create" in told
    assert "    partition_fields: ['Day']" in told
    assert "3 create.\nApplied." in told
    assert Flow.objects.get().destination.uri == "mongodb://localhost:2/"
    assert run("apply", str(file)) == "Nothing to do.\n"


@pytest.mark.django_db
def test_a_change_is_shown_field_by_field_and_keeps_the_flow(file: Path) -> None:
    run("apply", str(file), "--yes")
    row = Flow.objects.get()
    text = FILE.replace("collection: rows\n    dest", "collection: lines\n    dest")
    file.write_text(text + "    enabled: false\n")
    told = run("apply", str(file), "--yes")
    assert "~ flows.costs: change" in told
    assert "    collection: 'rows' → 'lines'\n    enabled: True → False" in told
    assert "It will copy everything anew." in told
    assert Flow.objects.get().id == row.id


SEVERAL = FILE.replace(
    "collection: rows\n    dest", "collection: [rows, costs_*]\n    dest"
).replace("destination_collection: rows", "destination_collection: '{collection}'")


@pytest.mark.django_db
def test_a_flow_of_several_collections_with_a_filter_and_rules(
    file: Path, settings: Settings
) -> None:
    settings.MONGO_SECRETS = {"MONGO_SECRET_HASH": "0123456789abcdef"}
    file.write_text(
        SEVERAL
        + "    filter: {Start: {$gt: {$date: '2026-01-01T00:00:00Z'}}, Cost: {$gte: 0.5}}\n"
        + "    field_rules: [{field: owner, action: hash}]\n"
        + "    hash_key_ref: env:MONGO_SECRET_HASH\n    copy_indexes: true\n"
        + "    on_poison: stop\n    write_mode: guarded\n    beyond_history: true\n"
    )
    run("apply", str(file), "--yes")
    row = Flow.objects.get()
    assert row.scope.items == ("rows", "costs_*")
    assert row.stream("rows").query()["Cost"] == {"$gte": 0.5}
    assert row.field_rules == [{"field": "owner", "action": "hash"}]
    assert (row.copy_indexes, row.on_poison, row.write_mode) == (True, "stop", "guarded")
    assert "collection: rows, costs_*\n" in run("export", "-")
    assert run("apply", str(file)) == "Nothing to do.\n"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "anew"),
    [
        (("[rows, costs_*]", "[rows, days]"), False),
        (("[rows, costs_*]", "[days, months]"), True),
        (("[Day]", "[Day]\n    filter: {a: 1}"), True),
        (("[Day]", "[Day]\n    on_poison: stop"), False),
    ],
    ids=["some stay", "none stays", "filter", "policy"],
)
def test_a_plan_says_when_everything_is_copied_again(
    file: Path, change: tuple[str, str], anew: bool
) -> None:
    file.write_text(SEVERAL)
    run("apply", str(file), "--yes")
    file.write_text(SEVERAL.replace(*change))
    assert ("copy everything anew" in run("apply", str(file), "--yes")) is anew


@pytest.mark.django_db
def test_what_the_file_lacks_stays_unless_pruned(file: Path) -> None:
    run("apply", str(file), "--yes")
    file.write_text(
        "connections:\n  here: {uri: 'mongodb://localhost:1/', auth_method: connection_string}"
    )
    told = run("apply", str(file))
    assert "? flows.costs: not in the file" in told
    assert "? connections.there: not in the file" in told
    assert Flow.objects.exists()
    told = run("apply", str(file), "--yes", "--prune")
    assert "- flows.costs: remove" in told
    assert [row.name for row in Connection.objects.all()] == ["here"]
    assert not Flow.objects.exists()


@pytest.mark.django_db
def test_one_problem_of_the_models_keeps_everything_as_it_was(file: Path) -> None:
    second = FILE[FILE.index("  costs:") :].replace("  costs:", "  again:")
    bad = FILE.replace("mongodb://localhost:1/", "http://x") + second + "  odd:" + second[8:]
    file.write_text(bad.replace("source: here", "source: there"))
    with pytest.raises(CommandError) as error:
        run("apply", str(file), "--yes")
    told = str(error.value)
    assert "line 2, connections.here.uri: connection_uri cannot be read" in told
    assert "line 19, flows.again.destination_collection: Another flow already writes" in told
    assert not Connection.objects.exists()
    file.write_text(FILE.replace("source: here", "source: nowhere"))
    with pytest.raises(CommandError, match=r"line 6, .* there is no connection 'nowhere'"):
        run("apply", str(file), "--yes")


@pytest.mark.django_db
def test_an_export_applied_changes_nothing(file: Path, tmp_path: Path) -> None:
    run("apply", str(file), "--yes")
    written = tmp_path / "written.yaml"
    assert "2 connections and 1 flows" in run("export", str(written))
    assert run("export", "-") == written.read_text()
    assert parse(written.read_text()) == parse(FILE)
    assert make_plan(parse(written.read_text()), prune=True).empty
    assert run("apply", str(written), "--prune") == "Nothing to do.\n"


@pytest.mark.django_db
def test_a_password_is_neither_written_nor_shown(file: Path, tmp_path: Path) -> None:
    Connection.objects.create(
        name="here", uri="mongodb://u:hidden@localhost/", auth_method="connection_string"
    )
    with pytest.raises(InvalidConfiguration) as error:
        current()
    assert "hidden" not in str(error.value)
    assert "hidden" not in run("apply", str(file), "--yes")
    file.write_text(FILE.replace("localhost:1", "u:hidden@localhost"))
    with pytest.raises(CommandError) as refused:
        run("apply", str(file), "--yes")
    assert "line 2, connections.here.uri: The address holds a password" in str(refused.value)
    assert "hidden" not in str(refused.value)
