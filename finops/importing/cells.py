"""One cell's text to one value, by the kind of its column."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson.decimal128 import Decimal128

from finops.focus import Column, Kind
from finops.importing.decimals import NotANumberError, TooManyDigitsError, decimal128, is_negative
from finops.importing.defects import Rule
from finops.importing.key_values import NotKeyValuesError, json_object, key_values

# What stands for nothing in a cell.
NULLS = frozenset({"", "NULL"})

_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Flawed:
    """A value (None where none could be had) and what was wrong with its text."""

    value: Any
    rules: tuple[Rule, ...]


Convert = Callable[[str], Any]


def converter(column: Column) -> Convert | None:
    """How to read a cell of this column that is not null; None where its text is the value.

    The function returns the value, or ``Flawed`` where something was wrong. It never raises.
    """
    if column.allowed:
        return _allowed(column.allowed)
    return _CONVERTERS.get(column.kind)


def _allowed(values: frozenset[str]) -> Convert:
    by_lower = {value.lower(): value for value in values}

    def convert(text: str) -> Any:
        if text in values:
            return text
        value = by_lower.get(text.lower())
        if value is None:
            return Flawed(text, (Rule.NOT_ALLOWED,))
        return Flawed(value, (Rule.LETTER_CASE,))

    return convert


def _decimal(text: str) -> Any:
    try:
        return decimal128(text.strip())
    except NotANumberError:
        # 1,234 is either a thousand or a bit more than one: nobody can tell, so it is neither.
        rule = Rule.SEPARATOR if "," in text else Rule.NOT_A_NUMBER
        return Flawed(None, (rule,))
    except TooManyDigitsError:
        return Flawed(None, (Rule.TOO_MANY_DIGITS,))


def _price(text: str) -> Any:
    value = _decimal(text)
    if "-" in text and isinstance(value, Decimal128) and is_negative(value):
        return Flawed(value, (Rule.NEGATIVE_PRICE,))
    return value


def _timestamp(text: str) -> Any:
    try:
        value = datetime.fromisoformat(text.strip())
        if value.tzinfo is not None:
            return _whole_milliseconds(value.astimezone(UTC))
    except (ValueError, OverflowError):
        return Flawed(None, (Rule.NOT_A_TIMESTAMP,))
    return Flawed(_whole_milliseconds(value.replace(tzinfo=UTC)), (Rule.NO_TIME_ZONE,))


def _whole_milliseconds(value: datetime) -> datetime:
    """What a document can hold, so that a value is the same before and after it was stored."""
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def _currency(text: str) -> Any:
    if _CURRENCY.fullmatch(text):
        return text
    code = text.strip().upper()
    if _CURRENCY.fullmatch(code):
        return Flawed(code, (Rule.LETTER_CASE,))
    return Flawed(None, (Rule.NOT_A_CURRENCY,))


def _key_values(text: str) -> Any:
    try:
        value, rules = key_values(text)
    except NotKeyValuesError:
        return Flawed(None, (Rule.NOT_JSON,))
    # No tags at all is nothing, however it is written.
    return Flawed(value or None, tuple(rules)) if rules else value or None


def _json(text: str) -> Any:
    try:
        return json_object(text)
    except NotKeyValuesError:
        return Flawed(None, (Rule.NOT_JSON,))


_CONVERTERS: dict[Kind, Convert] = {
    Kind.CURRENCY: _currency,
    Kind.DECIMAL: _decimal,
    Kind.PRICE: _price,
    Kind.TIMESTAMP: _timestamp,
    Kind.KEY_VALUE: _key_values,
    Kind.JSON: _json,
}
