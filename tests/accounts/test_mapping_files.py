"""Mappings leave as files and come back the same; a wrong file is refused as a whole, by line."""

import csv
import io
from datetime import date
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.cells import plain, safe
from accounts.levels import PermissionLevel
from accounts.mapping_files import ImportRefused, changes_for, read, sub_accounts, to_csv, to_json
from accounts.mappings import MappingValues, create_mapping
from accounts.models import GroupMapping

GROUP = "9d0c1a7e-51b2-4c8f-8a11-0f6f3f4f2a01"
HEAD = "group_oid,display_name,level,sub_accounts,expires_on,note\n"
texts = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc"]), max_size=30
).map(str.strip)
names = st.text(st.sampled_from("ab=-@+/'1"), min_size=1, max_size=12)


@st.composite
def rows(draw: st.DrawFn) -> list[GroupMapping]:
    return [
        GroupMapping(
            group_oid=oid,
            display_name=draw(texts | st.sampled_from(["=1+1", "'x", "@a", "'=x", "-1"])),
            level=draw(st.sampled_from(PermissionLevel)),
            scope=draw(st.none() | st.sets(names, min_size=1, max_size=3).map(sorted)),
            expires_on=draw(st.none() | st.dates()),
            note=draw(texts),
        )
        for oid in draw(st.sets(st.uuids().filter(lambda u: u.int > 0), min_size=1, max_size=4))
    ]


@given(rows=rows())
def test_what_is_exported_is_imported_the_same(rows: list[GroupMapping]) -> None:
    expected = [MappingValues.of(row) for row in rows]

    assert read(to_csv(rows)) == expected
    assert read(to_json(rows)) == expected


@given(rows=rows())
def test_no_cell_is_a_formula(rows: list[GroupMapping]) -> None:
    for line in csv.reader(io.StringIO(to_csv(rows))):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in line)


@given(text=st.text())
def test_a_cell_comes_back(text: str) -> None:
    assert plain(safe(text)) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{HEAD}{GROUP},A,owner,,,\n", "expected one of: viewer, analyst, admin"),
        (f"{HEAD}{GROUP},A,,,,\n", "expected one of: viewer, analyst, admin"),
        (f"{HEAD}nonsense,A,viewer,,,\n", "Line 2: group_oid: 'nonsense' is not an object id"),
        (f"{HEAD}{UUID(int=0)},A,viewer,,,\n", "The nil GUID is no group"),
        (f"{HEAD}{GROUP},A,viewer,,soon,\n", "Line 2: expires_on"),
        (f"{HEAD}{GROUP},A,viewer,a\u202eb,,\n", "Line 2: sub_accounts"),
        (f"{HEAD}{GROUP},A,viewer\n", "Line 2: it has not as many cells"),
        (f"{HEAD}{GROUP},,viewer,,,\n{{{GROUP.upper()}}},,admin,,,\n", "is in line 2 already"),
        (HEAD, "no mapping"),
        ("", "group_oid, level missing"),
        ("a,b\n1,2\n", "'a' is unknown; expected: group_oid"),
        ("[1]", "not a list of objects"),
        ("[", "This is no JSON"),
        ("x" * 1_000_001, "longer than"),
        (f'[{{"group_oid": "{GROUP}", "level": "root"}}]', "Entry 1: level: 'root'"),
        (f'[{{"group_oid": "{GROUP}", "level": 1, "sub_accounts": "a"}}]', "is no list"),
    ],
)
def test_a_wrong_file_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ImportRefused) as refusal:
        read(text)
    assert problem in str(refusal.value)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ImportRefused) as refusal:
        read(f"{HEAD}x,A,boss,,soon,\n{GROUP},A,viewer,,,\ny,B,viewer,,,\n")

    assert [problem.split(":")[0] for problem in refusal.value.problems] == ["Line 2"] * 3 + [
        "Line 4"
    ]


def test_sub_accounts_lose_blanks_and_repetitions() -> None:
    assert sub_accounts([" b ", "", "a", "b"]) == ("a", "b")
    assert sub_accounts(["", " "]) is None


@pytest.mark.django_db
def test_only_differences_are_changes() -> None:
    kept, other = uuid4(), uuid4()
    create_mapping(group_oid=kept, level=PermissionLevel.VIEWER, expires_on=date(2030, 1, 1))
    create_mapping(group_oid=other, level=PermissionLevel.VIEWER)
    wanted = read(to_csv(GroupMapping.objects.filter(group_oid=kept)))

    assert changes_for(wanted, replace=False) == []
    (removal,) = changes_for(wanted, replace=True)
    assert removal.before is not None
    assert (removal.before.group_oid, removal.after) == (other, None)
