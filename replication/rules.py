"""What happens to fields on their way: some stay behind, some are hidden, some become a digest.

Rules are applied to a document's bytes, so that every other field stays what it is, byte by byte.
"""

import hmac
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bson.errors import InvalidBSON

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


_Tree = dict[bytes, Any]  # a name leads to an action, or to a tree of the fields below
_LENGTH = struct.Struct("<i")
_STRING, _DOCUMENT, _ARRAY, _BINARY, _REGEX, _POINTER = 0x02, 0x03, 0x04, 0x05, 0x0B, 0x0C
# Types whose values are of one size, in bytes; and those that begin with their text's length.
_SIZES = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8}
_SIZES |= {0x13: 16, 0x7F: 0, 0xFF: 0}
_TEXTS = frozenset({_STRING, 0x0D, 0x0E})
_WHOLE = frozenset({_DOCUMENT, _ARRAY, 0x0F})  # values that begin with their own length


def _shaped(document: bytes, tree: _Tree, key: bytes, *, is_array: bool = False) -> bytes:
    """Apply the rules to a document's fields, or to each document in an array."""
    pieces: list[bytes] = []
    kept = 4  # everything before it is in ``pieces``
    for start, value, end in _elements(document):
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


def _elements(document: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield for each field where it starts, where its value starts, and where that ends."""
    start, last = 4, len(document) - 1
    while start < last:
        value = document.index(b"\0", start + 1) + 1
        end = value + _size(document, document[start], value)
        yield start, value, end
        start = end
    if start != last:
        raise InvalidBSON("a field reaches beyond the end of its document")


def _size(document: bytes, kind: int, value: int) -> int:
    size = _SIZES.get(kind)
    if size is not None:
        return size
    if kind == _REGEX:
        return document.index(b"\0", document.index(b"\0", value) + 1) + 1 - value
    (length,) = _LENGTH.unpack_from(document, value)
    if kind in _WHOLE:
        return int(length)
    if kind in _TEXTS:
        return int(length) + 4
    if kind == _BINARY:
        return int(length) + 5
    if kind == _POINTER:
        return int(length) + 16
    raise InvalidBSON(f"a field has the unknown type {kind}")
