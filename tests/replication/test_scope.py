"""Which collections a flow means, what their copies are called, and when two flows could meet."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.scope import CollectionScope, copy_name

_PATTERNS = st.text("ab*", min_size=1, max_size=5)
# Two patterns that meet do so in a text of no more letters than both have: at most four and four
# here, as one of five letters has no * and meets in itself or nowhere.
_TEXTS = ["".join(letters) for length in range(9) for letters in product("ab", repeat=length)]


def scope(text: str) -> CollectionScope:
    return CollectionScope.parse(text)


def test_what_is_written_is_read_as_names_and_patterns() -> None:
    read = scope(" rows, costs_* ,,days")
    assert read.items == ("rows", "costs_*", "days")
    assert read.names == ("rows", "days")
    assert read.has_patterns
    assert read.single is None
    assert scope("rows").single == "rows"
    assert scope("rows*").single is None
    assert scope(" , ").items == ()


@pytest.mark.parametrize(
    ("text", "name", "meant"),
    [
        ("rows", "rows", True),
        ("rows", "rows2", False),
        ("costs_*", "costs_2026", True),
        ("costs_*", "costs_", True),
        ("costs_*", "my_costs_2026", False),
        ("*", "anything.at.all", True),
        ("*", "system.views", False),
        ("system.*", "system.views", False),
        ("a.c", "abc", False),
        ("*_x_*", "a_x_b", True),
        ("*_x_*", "a_xb", False),
        ("*\nb", "a\nb", True),
    ],
)
def test_a_pattern_means_whole_names(text: str, name: str, meant: bool) -> None:
    assert scope(text).matches(name) is meant


def test_copies_are_called_by_their_template() -> None:
    assert copy_name("eu_{collection}", "rows") == "eu_rows"
    assert copy_name("one", "rows") == "one"
    assert scope("rows, costs_*").renamed("eu_{collection}").items == ("eu_rows", "eu_costs_*")


@given(_PATTERNS, _PATTERNS)
def test_two_patterns_overlap_exactly_when_a_name_fits_both(one: str, two: str) -> None:
    both = any(_fits(one, text) and _fits(two, text) for text in _TEXTS)
    assert scope(one).overlaps(scope(two)) is both
    assert scope(two).overlaps(scope(one)) is both


@given(st.lists(_PATTERNS, max_size=3), st.lists(_PATTERNS, max_size=3))
def test_scopes_overlap_when_any_two_of_their_items_do(one: list[str], two: list[str]) -> None:
    expected = any(scope(left).overlaps(scope(right)) for left in one for right in two)
    assert scope(",".join(one)).overlaps(scope(",".join(two))) is expected


def _fits(pattern: str, text: str) -> bool:
    """The rule written down once more, slowly and without regular expressions."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_fits(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return text[:1] == pattern[0] and _fits(pattern[1:], text[1:])
