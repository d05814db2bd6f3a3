"""BSON's order of ``_id`` values, as a server sorts them, for merging two sorted streams."""

import struct
from collections.abc import Iterable, Mapping
from typing import Any

import bson
from bson import Binary, Code, Decimal128, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS

from replication.wire import fields

# Dates outside of Python's years stay numbers of milliseconds.
_EXACT: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS
)
_LENGTH = struct.Struct("<i")

_FIRST, _NULL, _NUMBER, _TEXT, _OBJECT, _ARRAY, _BINARY = range(7)
_OBJECT_ID, _BOOLEAN, _DATE, _TIMESTAMP, _REGEX, _OTHER, _LAST = range(7, 14)

OrderKey = tuple[Any, ...]

# Types of BSON whose values may be equal in different bytes: numbers, and what may hold some.
_LOOSE = frozenset(b"\x01\x03\x04\x10\x12\x13")
_WHOLE_NUMBERS = frozenset(b"\x10\x12")


def split_documents(data: bytes) -> list[bytes]:
    """Cut what a raw batch holds, documents one behind the other, into documents."""
    documents = []
    start = 0
    while start < len(data):
        (length,) = _LENGTH.unpack_from(data, start)
        documents.append(data[start : start + length])
        start += length
    return documents


def id_of(document: bytes) -> Any:
    """Return the ``_id`` of a document; dates come as DatetimeMS, binary data as Binary."""
    return bson.decode(key_document(document), _EXACT)["_id"]


def key_document(document: bytes) -> bytes:
    """Return the document of the ``_id`` alone, byte by byte as it is in ``document``.

    Raises:
        KeyError: it has no ``_id``.
        InvalidBSON: it is no document.
    """
    for start, value, end in fields(document):
        if document[start + 1 : value] == b"_id\0":
            return _LENGTH.pack(end - start + 5) + document[start:end] + b"\0"
    raise KeyError("_id")


def in_other_bytes(keys: Iterable[bytes], others: Iterable[bytes]) -> set[bytes]:
    """Return those of ``keys`` that are one ``_id`` with one of ``others``, as 1 and 1.0 are.

    All are documents of an ``_id``, and no key is among the others in the same bytes.
    """
    loose = [key for key in keys if key[4] in _LOOSE]
    candidates = [key for key in others if key[4] in _LOOSE] if loose else []
    types = {key[4] for key in loose} | {key[4] for key in candidates}
    if not candidates or (len(types) == 1 and types <= _WHOLE_NUMBERS):
        return set()
    places = {order_key(id_of(key)) for key in candidates}
    return {key for key in loose if order_key(id_of(key)) in places}


def order_key(value: Any) -> OrderKey:
    """Return what sorts as the server sorts ``_id`` values without a collation.

    Equal numbers of two types have equal keys that hash alike, as they are one ``_id``.
    """
    if value is None:
        return (_NULL,)
    if isinstance(value, bool):
        return (_BOOLEAN, value)
    if isinstance(value, int | float | Decimal128):
        return _number(value)
    if isinstance(value, str) and not isinstance(value, Code):
        return (_TEXT, value)
    if isinstance(value, Mapping):
        return (_OBJECT, *(_member(name, item) for name, item in value.items()))
    if isinstance(value, bytes):
        subtype = value.subtype if isinstance(value, Binary) else 0
        return (_BINARY, len(value), subtype, bytes(value))
    return _rarer(value)


def _number(value: int | float | Decimal128) -> OrderKey:
    number = value.to_decimal() if isinstance(value, Decimal128) else value
    if number != number:  # NaN, which sorts before every other number
        return (_NUMBER, 0, 0)
    return (_NUMBER, 1, number)


def _member(name: str, value: Any) -> OrderKey:
    """Fields compare by type, then by name, then by value."""
    key = order_key(value)
    return (key[0], name, key)


def _rarer(value: Any) -> OrderKey:
    if isinstance(value, ObjectId):
        return (_OBJECT_ID, value.binary)
    if isinstance(value, DatetimeMS):
        return (_DATE, int(value))
    if isinstance(value, Timestamp):
        return (_TIMESTAMP, value.time, value.inc)
    if isinstance(value, list):
        return (_ARRAY, *(order_key(item) for item in value))
    if isinstance(value, MinKey):
        return (_FIRST,)
    if isinstance(value, MaxKey):
        return (_LAST,)
    if isinstance(value, Regex):
        return (_REGEX, str(value.pattern), value.flags)
    # Code and references, which are no _id on any server of today.
    return (_OTHER, bson.encode({"": value}))
