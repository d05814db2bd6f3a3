"""Fields are dropped, masked or hashed in a document's bytes, and the rest stays what it is."""

import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.errors import InvalidBSON
from hypothesis import given
from hypothesis import strategies as st

from replication.rules import FieldAction, FieldRule, shaper
from replication.spec import Namespace, StreamSpec

KEY = b"a key of the flow"
SPEC = StreamSpec(uuid4(), "costs", Namespace("a", "b", "c"), Namespace("d", "b", "c"))
EVERY_TYPE: dict[str, Any] = {
    "_id": ObjectId("65a000000000000000000000"),
    "double": 1.5,
    "text": "é",
    "document": {"a": {"b": [1, {"c": None}]}},
    "array": [[], {}, "x"],
    "binary": b"bytes",
    "old binary": Binary(b"bytes", 2),
    "uuid": Binary(bytes(16), 4),
    "true": True,
    "date": datetime(2026, 1, 1, tzinfo=UTC),
    "null": None,
    "regex": Regex("^a.*b$", "im"),
    "reference": DBRef("rows", 1),
    "code": Code("return 1"),
    "scope": Code("return x", {"x": 1}),
    "int": 1,
    "timestamp": Timestamp(1, 2),
    "long": Int64(2),
    "decimal": Decimal128("1.10"),
    "least": MinKey(),
    "most": MaxKey(),
}


def shaped(document: Mapping[str, Any] | bytes, /, **actions: str) -> bytes:
    rules = tuple(
        FieldRule(field.replace("__", "."), FieldAction(action))
        for field, action in actions.items()
    )
    shape = shaper(replace(SPEC, rules=rules, hash_key=KEY))
    assert shape is not None
    return shape(document if isinstance(document, bytes) else bson.encode(document))


def digest(kind: int, value: bytes) -> str:
    return hmac.new(KEY, bytes([kind]) + value, "sha256").hexdigest()


def test_without_rules_there_is_nothing_to_apply() -> None:
    assert shaper(SPEC) is None


def test_the_three_actions() -> None:
    document = {"_id": 1, "a": "secret", "b": 2, "c": 7, "z": 1.5}
    found = bson.decode(shaped(document, a="drop", b="mask", c="hash"))
    number = (7).to_bytes(4, "little")
    assert found == {"_id": 1, "b": "***", "c": digest(0x10, number), "z": 1.5}


def test_a_digest_knows_the_type_of_a_value() -> None:
    found = [
        bson.decode(shaped({"a": value}, a="hash"))["a"]
        for value in (1, Int64(1), 1.0, "1", True, None, [1], {"0": 1})
    ]
    assert len(set(found)) == len(found)
    assert all(len(each) == 64 for each in found)


def test_fields_below_are_found_in_documents_lists_and_names_with_dots() -> None:
    document = {
        "_id": {"owner": "kept"},
        "Tags": {"owner": "x", "env": "prod", "owner.mail": "y"},
        "List": [{"owner": "x"}, {"other": 1}, [{"owner": "x", "n": 1}], "text"],
        "Tags.owner": "x",
    }
    found = bson.decode(shaped(document, Tags__owner="drop", List__owner="mask"))
    assert found == {
        "_id": {"owner": "kept"},
        "Tags": {"env": "prod"},
        "List": [{"owner": "***"}, {"other": 1}, [{"owner": "***", "n": 1}], "text"],
    }


def test_a_rule_for_a_field_goes_before_one_for_what_is_in_it() -> None:
    for actions in ({"a": "mask", "a__b": "drop"}, {"a__b": "drop", "a": "mask"}):
        assert bson.decode(shaped({"a": {"b": 1}}, **actions)) == {"a": "***"}


@pytest.mark.parametrize("field", sorted(set(EVERY_TYPE) - {"_id"}))
def test_a_value_of_any_type_can_go_and_leaves_the_others_alone(field: str) -> None:
    others = {name: value for name, value in EVERY_TYPE.items() if name != field}
    assert shaped(EVERY_TYPE, **{field: "drop"}) == bson.encode(others)


def test_a_document_without_such_fields_is_the_very_same_bytes() -> None:
    document = bson.encode(EVERY_TYPE)
    assert shaped(document, document__a__z="drop", array__a="hash", x="drop") is document


def test_bytes_that_are_no_document_are_refused() -> None:
    with pytest.raises(InvalidBSON):
        shaped(b"\x10\0\0\0\x99a\0" + bytes(8) + b"\0", a="drop")


names = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    st.none()
    | st.integers(-(2**31), 2**31 - 1)
    | st.sampled_from(["", "a", "é\0a"])
    | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)


def dropped(value: Any, path: tuple[str, ...]) -> Any:
    """What the rule says, in Python."""
    if isinstance(value, list):
        return [dropped(item, path) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: item for name, item in value.items() if path != (name,)}
    return {
        name: dropped(item, path[1:]) if name == path[0] else item for name, item in kept.items()
    }


@given(st.dictionaries(names, values, max_size=3), st.lists(names, min_size=1, max_size=3))
def test_what_is_dropped_is_dropped_wherever_it_is(
    document: dict[str, Any], path: list[str]
) -> None:
    expected = bson.encode(dropped(document, tuple(path)))
    assert shaped(document, **{"__".join(path): "drop"}) == expected
