"""Tags and other flat JSON objects, in every shape that exports write them.

An object; a list of pairs (``[{"Key": "env", "Value": "prod"}]`` or ``[["env", "prod"]]``); pairs
without braces around them, as Azure's older exports write. Keys stay as they are, a leading space
included: changing them would hide from people what their tags really say.
"""

import json
from typing import Any

from finops.importing.defects import Rule

KeyValues = dict[str, str | bool]

_DEEPEST = 50  # levels of nesting; more is an attack on whoever reads it
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


class NotKeyValuesError(ValueError):
    """The text is not JSON, or not of a shape that has keys and values."""


class _Object(list[tuple[str, Any]]):
    """A JSON object with its pairs in order, repeated keys included."""


# Numbers stay text: 1.10 is a version, and 2**70 would not fit into a document.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_Object, parse_int=str, parse_float=str, parse_constant=str
)


def key_values(text: str) -> tuple[KeyValues, list[Rule]]:
    """The pairs that ``text`` holds, sorted by key, and what was wrong with how it says them.

    Values are text, or ``True`` for a key without a value (as FOCUS has it, and for JSON's null).
    Numbers and nested values are kept as their text. Raises ``NotKeyValuesError``.
    """
    text = text.strip()
    rules = []
    if text.startswith('"'):
        text = f"{{{text.rstrip(',')}}}"
        rules.append(Rule.NO_BRACES)
    parsed = _decoded(text)
    if not isinstance(parsed, _Object):
        if not isinstance(parsed, list):
            raise NotKeyValuesError
        parsed = [_pair(element) for element in parsed]
        rules.append(Rule.PAIR_LIST)
    result = {_storable(key): _value(value) for key, value in sorted(parsed, key=_key)}
    if len(result) < len(parsed):
        rules.append(Rule.REPEATED_KEY)
    if any(key != key.strip() for key in result):
        rules.append(Rule.KEY_WITH_SPACE)
    return result, rules


def json_object(text: str) -> str:
    """``text`` with spaces and the order of keys made uniform; raises ``NotKeyValuesError``."""
    parsed = _decoded(text)
    if not isinstance(parsed, _Object):
        raise NotKeyValuesError
    return _dumped(parsed)


def _decoded(text: str) -> Any:
    try:
        parsed = _DECODER.decode(text)
        if "\\u" in text:
            # Half of a surrogate pair can be said in JSON but not be stored.
            _dumped(parsed).encode()
    except (ValueError, RecursionError):
        raise NotKeyValuesError from None
    return parsed


def _key(pair: tuple[str, Any]) -> str:
    return pair[0]


def _pair(element: Any) -> tuple[str, Any]:
    """A pair from an element of a list: an object with a key and a value, or two elements."""
    if isinstance(element, _Object):
        parts = {key.lower(): value for key, value in element}
        key, value = parts.get("key", parts.get("name")), parts.get("value", True)
    elif isinstance(element, list) and len(element) == 2:
        key, value = element
    else:
        raise NotKeyValuesError
    if not isinstance(key, str):
        raise NotKeyValuesError
    return key, value


def _storable(key: str) -> str:
    """The key, unless it holds a NUL: documents end their keys with one."""
    if "\0" in key:
        raise NotKeyValuesError
    return key


def _value(value: Any) -> str | bool:
    if isinstance(value, str):
        return value
    if value is None or value is True:
        return True
    return "false" if value is False else _dumped(value)


def _dumped(value: Any) -> str:
    return json.dumps(
        _plain(value, _DEEPEST), ensure_ascii=False, separators=(",", ":"), sort_keys=True
    )


def _plain(value: Any, levels: int) -> Any:
    """The value as dicts and lists; raises ``NotKeyValuesError`` below so many levels."""
    if not levels:
        raise NotKeyValuesError
    if isinstance(value, _Object):
        return {key: _plain(part, levels - 1) for key, part in value}
    return [_plain(part, levels - 1) for part in value] if isinstance(value, list) else value
