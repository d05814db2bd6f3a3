"""The id of a document is its content and which of its likes it is."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops.importing.defects import Defects
from finops.importing.identity import Identities
from finops.importing.raw_rows import RawRows
from finops.importing.rows import Normaliser
from tests.finops.focus_rows import ROW

# For each column some texts that mean different things; the first are those of ROW.
CHANGES = {
    "BilledCost": ["1.5", "-1.5", "15", "0"],
    "ChargeCategory": ["Usage", "Tax", "NULL"],
    "ChargeClass": ["", "Correction"],
    "ChargeDescription": ["D2s v5", "D2s v5 ", "d2s v5", ""],
    "ChargePeriodStart": ["2026-09-02T00:00:00Z", "2026-09-02T00:00:00.001Z"],
    "ListCost": ["2", "20", "0.2", ""],
    "ServiceName": ["Virtual Machines", "Storage", "NULL"],
    "Tags": ["", '{"env": "prod"}', '{"env": true}', '{"env ": "prod"}', '{"prod": "env"}'],
    "x_CostCenter": ["", "CC-1", "CC-2"],
}
NAMES = [*ROW, "Tags", "x_CostCenter"]
rows = st.fixed_dictionaries({name: st.sampled_from(texts) for name, texts in CHANGES.items()})


def ids(rows: list[dict[str, str]], names: list[str] = NAMES) -> list[str]:
    normaliser, identities = Normaliser(names, Defects()), Identities()
    cells = [[(ROW | row).get(name, "") for name in names] for row in rows]
    batch = RawRows(list(range(len(cells))), cells)
    return [identities.assign(document) for document in normaliser.documents(batch)]


@given(st.lists(rows, max_size=8), st.randoms(use_true_random=False))
def test_order_does_not_matter(many: list[dict[str, str]], order: random.Random) -> None:
    shuffled = order.sample(many, len(many))
    assert sorted(ids(many)) == sorted(ids(shuffled))


@given(rows, st.integers(1, 5))
def test_like_rows_are_told_apart(row: dict[str, str], count: int) -> None:
    assert len(set(ids([row] * count))) == count


@given(rows, st.data())
def test_any_changed_cell_is_another_row(row: dict[str, str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(CHANGES)))
    other = data.draw(st.sampled_from([t for t in CHANGES[name] if t != row[name]]))
    first, second = ids([row, row | {name: other}])
    assert first.split("-")[0] != second.split("-")[0]


@settings(max_examples=30)
@given(rows, st.permutations(NAMES))
def test_the_order_of_columns_does_not_matter(row: dict[str, str], names: list[str]) -> None:
    assert ids([row]) == ids([row], names)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BilledCost", "1.500"),
        ("BilledCost", "15E-1"),
        ("ChargePeriodStart", "2026-09-02 00:00:00"),
        ("ChargePeriodStart", "2026-09-02T02:00:00+02:00"),
        ("ChargeClass", "NULL"),
        ("ChargeCategory", "usage"),
        ("Tags", "{}"),
    ],
)
def test_the_same_said_differently_is_the_same_row(name: str, text: str) -> None:
    assert ids([{}]) == ids([{name: text}])


def test_a_column_that_is_all_null_may_as_well_be_absent() -> None:
    assert ids([{}]) == ids([{}], list(ROW))


def test_ids_stay_the_same_over_releases() -> None:
    """An id of another form would delete and write every document of everybody again."""
    assert ids([{}]) == ["f8717277aff8984cf8e8840ba45c4127-1"]
