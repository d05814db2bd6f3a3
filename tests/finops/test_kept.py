"""What is kept in the process is bounded, and made once."""

import pytest

from finops.costs.kept import Kept


def test_a_value_is_made_once() -> None:
    kept: Kept[list[int]] = Kept(2)
    first = kept.get("a", lambda: [1])
    assert kept.get("a", lambda: [2]) is first


def test_what_was_used_longest_ago_goes_first() -> None:
    kept: Kept[int] = Kept(2)
    for key in ("a", "b", "a", "c"):
        kept.get(key, lambda: 1)
    assert kept.get("a", lambda: 2) == 1
    assert kept.get("b", lambda: 2) == 2


def test_heavy_values_leave_less_room() -> None:
    kept: Kept[str] = Kept(10, weight=len)
    kept.get("a", lambda: "xxxx")
    kept.get("b", lambda: "yyyy")
    kept.get("c", lambda: "zzzz")
    assert kept.get("b", lambda: "") == "yyyy"
    assert kept.get("c", lambda: "") == "zzzz"
    assert kept.get("a", lambda: "") == ""
    kept.get("d", lambda: "x" * 11)
    assert kept.get("d", lambda: "") == ""


def test_a_failure_is_not_kept() -> None:
    kept: Kept[float] = Kept(2)
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 / 0)
    assert kept.get("a", lambda: 1.0) == 1.0
