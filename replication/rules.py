"""What happens to fields on their way: some stay behind, some are hidden, some become a digest.

Rules are applied to a document's bytes, so that every other field stays what it is, byte by byte.
"""

import hmac
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from replication.wire import fields

if TYPE_CHECKING:
    from replication.spec import StreamSpec

# What a masked field holds, whatever it held.
MASK = "***"


class FieldAction(StrEnum):
    """What becomes of a field in the copy."""

    DROP = "drop"  # it is not there
    MASK = "mask"  # a text in its place says that it was
    HASH = "hash"  # a keyed digest: equal values stay equal, and nobody can guess them


@dataclass(frozen=True)
class FieldRule:
    """One field, e.g. ``Tags.owner``, and what becomes of it."""

    field: str
    action: FieldAction


def read_rules(value: object) -> tuple[FieldRule, ...]:
    """Read rules as a flow stores them: ``[{"field": "Tags.owner", "action": "hash"}]``.

    Raises:
        ValueError: names the rule that is none, and why.
    """
    if not isinstance(value, list):
        raise ValueError("Expected a list of rules.")  # noqa: TRY004 - a value from a form
    rules = tuple(_rule(number, item) for number, item in enumerate(value, 1))
    seen: set[str] = set()
    for rule in rules:
        if rule.field in seen:
            raise ValueError(f"The field {rule.field!r} has two rules.")
        seen.add(rule.field)
    return rules


def _rule(number: int, item: object) -> FieldRule:
    if not isinstance(item, Mapping) or set(item) != {"field", "action"}:
        raise ValueError(f'Rule {number}: expected {{"field": …, "action": …}}.')
    field, action = item["field"], item["action"]
    if not _is_path(field):
        raise ValueError(f"Rule {number}: expected the name of a field, dots between its parts.")
    if field.split(".")[0] == "_id":
        raise ValueError(f"Rule {number}: _id is what documents are known by, and stays.")
    if action not in {each.value for each in FieldAction}:
        known = ", ".join(FieldAction)
        raise ValueError(f"Rule {number}: the action is {action!r}, expected one of {known}.")
    return FieldRule(field, FieldAction(action))


def _is_path(field: Any) -> bool:
    if not isinstance(field, str):
        return False
    parts: Sequence[str] = field.split(".")
    return all(part and not part.startswith("$") for part in parts)


def shaper(spec: "StreamSpec") -> Callable[[bytes], bytes] | None:
    """Return what turns a source's document into its copy, or None where both are the same.

    A digest is HMAC-SHA256 of a value's BSON type and bytes with the flow's key, in hexadecimal:
    1 and 1.0 have two. A rule for ``a.b`` also means each document in a list ``a``, and names with
    dots in them; of a list that is itself meant, the whole is hidden.

    The shaper raises InvalidBSON for bytes that are no document.
    """
    if not spec.rules:
        return None
    tree: _Tree = {}
    for rule in spec.rules:
        *parents, name = rule.field.encode().split(b".")
        level = tree
        for parent in parents:
            deeper = level.setdefault(parent, {})
            if not isinstance(deeper, dict):  # a rule for the parent says it all
                break
            level = deeper
        else:
            level[name] = rule.action
    key = spec.hash_key
    starts = tuple(tree)

    def shape(document: bytes) -> bytes:
        # Most often cheaper than a walk: a name that is nowhere in the bytes is no field's.
        if not any(start in document for start in starts):
            return document
        return _shaped(document, tree, key)

    return shape


def without(document: bytes, field: str) -> bytes:
    """Return a document without a field of this name; raises as a shaper does."""
    name = field.encode()
    return _shaped(document, {name: FieldAction.DROP}, b"") if name in document else document


_Tree = dict[bytes, Any]  # a name leads to an action, or to a tree of the fields below
_LENGTH = struct.Struct("<i")
_DOCUMENT, _ARRAY = 0x03, 0x04


def _shaped(document: bytes, tree: _Tree, key: bytes, *, is_array: bool = False) -> bytes:
    """Apply the rules to a document's fields, or to each document in an array."""
    pieces: list[bytes] = []
    kept = 4  # everything before it is in ``pieces``
    for start, value, end in fields(document):
        name = document[start + 1 : value - 1]
        found = tree if is_array else _found(tree, name)
        if found is None:
            continue
        kind, inner = document[start], document[value:end]
        if isinstance(found, FieldAction):
            replaced = _acted(found, name, kind, inner, key)
        elif kind in (_DOCUMENT, _ARRAY):
            shaped = _shaped(inner, found, key, is_array=kind == _ARRAY)
            if shaped is inner:
                continue
            replaced = document[start:value] + shaped
        else:
            continue
        pieces += (document[kept:start], replaced)
        kept = end
    if not pieces:
        return document
    pieces.append(document[kept:])
    body = b"".join(pieces)
    return _LENGTH.pack(len(body) + 4) + body


def _found(tree: _Tree, name: bytes) -> Any:
    """Return what the rules say of a field: an action, a tree for what is below, or None."""
    found = tree.get(name)
    if found is None and b"." in name:
        found = tree
        for part in name.split(b"."):
            if not isinstance(found, dict):
                return found  # a rule for what the name begins with
            found = found.get(part)
    return found


def _acted(action: FieldAction, name: bytes, kind: int, value: bytes, key: bytes) -> bytes:
    if action is FieldAction.DROP:
        return b""
    text = MASK
    if action is FieldAction.HASH:
        text = hmac.new(key, bytes((kind,)) + value, "sha256").hexdigest()
    content = text.encode() + b"\0"
    return b"\x02" + name + b"\0" + _LENGTH.pack(len(content)) + content
