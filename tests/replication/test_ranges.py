"""Two sorted sides are cut into the same ranges, and what differs is named exactly."""

from collections.abc import Sequence
from typing import Any

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

from replication.keys import (
    id_of,
    in_other_bytes,
    key_document,
    order_key,
    split_documents,
)
from replication.ranges import Kind, RangeDigest, differences, ranges

_SMALL = st.integers(-20, 20)
_IDS = st.one_of(
    _SMALL,
    _SMALL.map(lambda n: n / 2),
    _SMALL.map(lambda n: Decimal128(f"{n}.25")),
    _SMALL.map(Int64),
    st.text("ab€𝄞", max_size=3),
    st.binary(max_size=2),
    st.booleans(),
    st.none(),
    _SMALL.map(lambda n: DatetimeMS(n * 10**15)),
    _SMALL.map(lambda n: ObjectId(bytes([n % 5] * 12))),
    st.builds(Timestamp, st.integers(0, 2), st.integers(0, 2)),
    st.sampled_from([MinKey(), MaxKey()]),
    st.dictionaries(st.sampled_from("ab"), _SMALL | st.text("a", max_size=2), max_size=2),
)
_SIDES = st.lists(
    st.tuples(_IDS, st.sampled_from(["same", "changed", "missing", "extra"])), max_size=60
)


def document(key: Any, value: int = 0) -> bytes:
    return bson.encode({"_id": key, "v": value})


def batches(documents: Sequence[bytes], size: int) -> list[list[bytes]]:
    ordered = sorted(documents, key=lambda each: order_key(id_of(each)))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


@given(_SIDES, st.integers(1, 7), st.integers(1, 7))
def test_every_difference_is_named_and_nothing_else(
    keys: list[tuple[Any, str]], left_size: int, right_size: int
) -> None:
    distinct = {order_key(key): (key, fate) for key, fate in keys}.values()
    left = [document(key) for key, fate in distinct if fate != "extra"]
    right = [document(key, int(fate == "changed")) for key, fate in distinct if fate != "missing"]
    seen_left, seen_right, found = RangeDigest(), RangeDigest(), []
    for each in ranges(batches(left, left_size), batches(right, right_size)):
        digests = RangeDigest.of(each.source), RangeDigest.of(each.destination)
        seen_left, seen_right = seen_left + digests[0], seen_right + digests[1]
        named = list(differences(each))
        assert (digests[0] == digests[1]) == (not named)
        found += [(kind.value, key) for kind, key in named]
    expected = [(fate, bson.encode({"_id": key})) for key, fate in distinct if fate != "same"]
    assert sorted(found) == sorted(expected)
    assert (seen_left, seen_right) == (RangeDigest.of(left), RangeDigest.of(right))


@given(st.lists(st.binary(max_size=5), max_size=20), st.randoms(use_true_random=False))
def test_a_digest_does_not_depend_on_the_order(documents: list[bytes], random: Any) -> None:
    shuffled = documents.copy()
    random.shuffle(shuffled)
    half = len(documents) // 2
    parts = RangeDigest.of(documents[:half]) + RangeDigest.of(documents[half:])
    assert RangeDigest.of(documents) == RangeDigest.of(shuffled) == parts


def test_equal_documents_do_not_cancel_out() -> None:
    assert RangeDigest.of([b"a", b"a"]) != RangeDigest.of([b"b", b"b"])


def test_a_side_in_another_order_loses_no_document() -> None:
    keys = [document(key) for key in range(10)]
    cut = list(ranges([keys], [keys[::-1][:4], keys[::-1][4:]]))
    assert sorted(each for one in cut for each in one.source) == sorted(keys)
    assert sorted(each for one in cut for each in one.destination) == sorted(keys)


def test_one_number_in_two_types_is_one_key_in_different_bytes() -> None:
    (cut,) = ranges([[document(1)]], [[document(Int64(1))]])
    assert list(differences(cut)) == [(Kind.CHANGED, bson.encode({"_id": 1}))]


@pytest.mark.parametrize(
    "key", [1, Int64(1), "s", Binary(b"u" * 16, 4), DatetimeMS(10**17), {"b": 1, "a": {"c": 2}}]
)
def test_a_key_keeps_its_bytes(key: Any) -> None:
    assert key_document(document(key)) == bson.encode({"_id": key})


def test_values_sort_as_a_server_sorts_them() -> None:
    # As listed in MongoDB's manual; NaN comes before every number.
    ordered: list[Any] = [
        *(MinKey(), None, float("nan"), -1, Decimal128("0.5"), 1, 2.5, Int64(3)),
        *("", "a", "b", "€", "𝄞", {}, {"a": 1}, {"a": 1, "b": 1}, {"b": 0}, {"a": "x"}, [1]),
        *(b"z", b"aa", Binary(b"aa", 4), ObjectId("0" * 24), False, True),
        *(
            DatetimeMS(-1),
            DatetimeMS(10**17),
            Timestamp(1, 2),
            Timestamp(2, 1),
            Code("a"),
            MaxKey(),
        ),
    ]
    keys = [order_key(value) for value in ordered]
    assert keys == sorted(keys)


def test_a_raw_batch_is_cut_into_its_documents() -> None:
    documents = [document(key) for key in ("a", 1, None)]
    assert split_documents(b"".join(documents)) == documents
    assert split_documents(b"") == []


@pytest.mark.parametrize(
    ("keys", "others", "found"),
    [
        ([1], [1.0], [1]),
        ([1, 2], [Decimal128("2.00")], [2]),
        ([0.0], [-0.0], [0.0]),
        ([{"a": 1}], [{"a": 1.0}], [{"a": 1}]),
        ([[1]], [[1.0]], [[1]]),
        ([1, 3], [2, 4], []),
        (["1"], ["2", 1.0], []),
        ([1], ["1"], []),
        ([1], [], []),
    ],
)
def test_keys_that_are_one_in_other_bytes(
    keys: list[object], others: list[object], found: list[object]
) -> None:
    def encoded(values: list[object]) -> list[bytes]:
        return [bson.encode({"_id": value}) for value in values]

    assert in_other_bytes(encoded(keys), encoded(others)) == set(encoded(found))
