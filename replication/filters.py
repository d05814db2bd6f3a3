"""Which documents of a collection are copied: a query that a server can ask of a change too."""

import json
from collections.abc import Mapping
from typing import Any

import bson
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError
from bson.json_util import JSONOptions, loads

_COMPARISONS = frozenset(
    {"$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$type", "$regex"}
    | {"$options", "$not", "$all", "$elemMatch", "$size", "$mod"}
)
# What takes a list of queries, and what stands beside the names of fields no other does.
COMBINING = frozenset({"$and", "$or", "$nor"})
_ALLOWED = ", ".join(sorted(COMBINING | _COMPARISONS))
# Any date that the server can hold, in UTC.
_JSON = JSONOptions(tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO)
_EXPECTED = 'Expected a query as extended JSON, e.g. {"ProviderName": "Microsoft"}'


def parse_filter(text: str) -> dict[str, Any]:
    """Read a query from extended JSON, e.g. ``{"ChargePeriodStart": {"$gte": {"$date": "…"}}}``.

    Raises:
        ValueError: says what is wrong, and what is allowed.
    """
    try:
        query = loads(text, json_options=_JSON)
        bson.encode({"": query})  # e.g. a number that no server can hold
    except (ValueError, TypeError, KeyError, OverflowError, BSONError):
        raise ValueError(f"{_EXPECTED}: this is none.") from None
    if not isinstance(query, dict):
        raise ValueError(f"{_EXPECTED}.")  # noqa: TRY004 - a value from a form
    if "_id" in query:
        raise ValueError("A filter cannot name _id, which the flow asks for by itself.")
    _check_query(query)
    return query


def filter_problem(value: object) -> str | None:
    """Return what is wrong with a filter as a form has it, decoded from JSON, or None."""
    try:
        parse_filter(json.dumps(value))
    except ValueError as error:
        return str(error)
    return None


def _check_query(query: Mapping[str, Any]) -> None:
    for name, value in query.items():
        if name in COMBINING:
            if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
                raise ValueError(f"{name}: expected a list of queries.")
            for item in value:
                _check_query(item)
        elif name.startswith("$"):
            raise _unknown(name)
        else:
            _check_value(name, value)


def _check_value(field: str, value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _check_value(field, item)
    if not isinstance(value, dict):
        return
    if not all(name.startswith("$") for name in value):
        # It would mean equality with its fields in this order, and a database may keep no order.
        raise ValueError(
            f'{field}: compare the fields of a document one by one, e.g. {{"Tags.env": "prod"}}.'
        )
    for name, operand in value.items():
        if name not in _COMPARISONS:
            raise _unknown(name)
        if name == "$elemMatch" and isinstance(operand, dict) and not _is_comparison(operand):
            _check_query(operand)
        else:
            _check_value(field, operand)


def _is_comparison(operand: Mapping[str, Any]) -> bool:
    return all(name in _COMPARISONS for name in operand)


def _unknown(name: str) -> ValueError:
    return ValueError(f"A filter cannot use {name}; it may use {_ALLOWED}.")
