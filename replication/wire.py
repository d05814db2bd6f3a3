"""A change stream's answers, cut into documents without decoding them.

What is copied stays the bytes that the source sent, and cutting them out costs half of what
decoding does: this is where a flow's processor time goes.
"""

import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple

from bson.errors import InvalidBSON

_LENGTH = struct.Struct("<i")
_TIME = struct.Struct("<Q")
_INT32, _INT64, _DOUBLE = struct.Struct("<i"), struct.Struct("<q"), struct.Struct("<d")
_TEXT, _DOCUMENT, _ARRAY, _BINARY, _REGEX, _POINTER = 0x02, 0x03, 0x04, 0x05, 0x0B, 0x0C
_TIMESTAMP = 0x11
# Types whose values are of one size, in bytes; and those that begin with their text's length.
_SIZES = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8}
_SIZES |= {0x13: 16, 0x7F: 0, 0xFF: 0}
_TEXTS = frozenset({_TEXT, 0x0D, 0x0E})
_WHOLE = frozenset({_DOCUMENT, _ARRAY, 0x0F})  # values that begin with their own length
_INTEGERS = {0x10: _INT32, 0x12: _INT64}


class Event(NamedTuple):
    """One change, or a fragment of one that was too large for a single document.

    ``time`` is the cluster time as one number, seconds before increments, 0 where there is none.
    """

    operation: bytes
    key: bytes  # documentKey, empty where the event is of no document
    document: bytes | None  # fullDocument, None where there is none
    time: int
    token: bytes
    fragment: int = 1
    fragments: int = 1


class Reply(NamedTuple):
    """An answer to ``aggregate`` or ``getMore``."""

    cursor: int  # 0: the source has closed it
    events: Iterator[Event]
    empty: bool
    token: bytes | None  # from which to go on behind all of the events


def fields(document: bytes, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Yield for each field where it starts, where its value starts, and where that ends.

    ``document`` is any bytes that hold one at ``start``.

    Raises:
        InvalidBSON: they are none.
    """
    try:
        last = start + _LENGTH.unpack_from(document, start)[0] - 1
        start += 4
        while start < last:
            value = document.index(b"\0", start + 1) + 1
            end = value + value_size(document, document[start], value)
            if end > last:
                break
            yield start, value, end
            start = end
    except (struct.error, IndexError, ValueError):
        raise InvalidBSON("a document ends within a field") from None
    if start != last or document[last : last + 1] != b"\0":
        raise InvalidBSON("a field reaches beyond the end of its document")


def chosen_fields(document: bytes, names: Collection[bytes]) -> dict[bytes, bytes]:
    """Return the fields of these names as bytes, by name. It looks no further than them.

    Raises:
        InvalidBSON: the bytes are no document.
    """
    found: dict[bytes, bytes] = {}
    start, last = 4, len(document) - 1
    try:
        # The same walk as that of ``fields``, written out: it is passed for each document.
        while start < last:
            value = document.index(b"\0", start + 1) + 1
            kind = document[start]
            size = _SIZES.get(kind)
            end = value + (value_size(document, kind, value) if size is None else size)
            name = document[start + 1 : value - 1]
            if name in names:
                found[name] = document[start:end]
                if len(found) == len(names):
                    break
            start = end
    except (struct.error, IndexError, ValueError):
        raise InvalidBSON("a document ends within a field") from None
    return found


def value_size(document: bytes, kind: int, value: int) -> int:
    """Return how many bytes the value of type ``kind`` at ``value`` has.

    Raises:
        InvalidBSON: there is no such type.
        struct.error, IndexError, ValueError: the bytes end before the value does.
    """
    size = _SIZES.get(kind)
    if size is not None:
        return size
    if kind == _REGEX:
        return document.index(b"\0", document.index(b"\0", value) + 1) + 1 - value
    length: int = _LENGTH.unpack_from(document, value)[0]
    if length >= 0:
        if kind in _WHOLE:
            return length
        if kind in _TEXTS:
            return length + 4
        if kind == _BINARY:
            return length + 5
        if kind == _POINTER:
            return length + 16
    raise InvalidBSON(f"a field has the unknown type {kind}, or no length")


def read_reply(cursor: bytes) -> Reply:
    """Read the ``cursor`` of an answer.

    Raises:
        InvalidBSON: it is not of the form that cursors have.
    """
    identifier, batch, token = None, None, None
    for start, value, end in fields(cursor):
        name = cursor[start + 1 : value - 1]
        if name == b"id":
            identifier = _integer(cursor, cursor[start], value)
        elif name in (b"nextBatch", b"firstBatch"):
            batch = (value, end)
        elif name == b"postBatchResumeToken":
            token = cursor[value:end]
    if identifier is None or batch is None:
        raise InvalidBSON("a cursor has no id or no batch")
    begin, end = batch
    return Reply(identifier, _events(cursor, begin), end - begin == 5, token)


def _events(data: bytes, start: int) -> Iterator[Event]:
    # The same walk as that of ``fields``, written out: it is passed for each event.
    position = start + 4
    unpack = _LENGTH.unpack_from
    try:
        while data[position]:
            value = data.index(b"\0", position) + 1
            position = value + unpack(data, value)[0]
            yield _event(data, value, position)
    except (struct.error, IndexError, KeyError, ValueError):
        raise InvalidBSON("an event ends within a field") from None


def _event(data: bytes, start: int, end: int) -> Event:
    operation, key, document, token, time, fragment, fragments = b"", b"", None, b"", 0, 1, 1
    position = start + 4
    while kind := data[position]:
        value = data.index(b"\0", position) + 1
        name = data[position + 1 : value - 1]
        if kind == _DOCUMENT:
            position = value + _LENGTH.unpack_from(data, value)[0]
            if name == b"fullDocument":
                document = data[value:position]
            elif name == b"documentKey":
                key = data[value:position]
            elif name == b"_id":
                token = data[value:position]
            elif name == b"splitEvent":
                fragment, fragments = _split(data[value:position])
        elif kind == _TEXT:
            position = value + 4 + _LENGTH.unpack_from(data, value)[0]
            if name == b"operationType":
                operation = data[value + 4 : position - 1]
        else:
            if kind == _TIMESTAMP and name == b"clusterTime":
                (time,) = _TIME.unpack_from(data, value)
            position = value + value_size(data, kind, value)
    if position != end - 1:
        raise InvalidBSON("a field reaches beyond the end of its event")
    return Event(operation, key, document, time, token, fragment, fragments)


def _split(document: bytes) -> tuple[int, int]:
    found = {
        document[start + 1 : value - 1]: _integer(document, document[start], value)
        for start, value, _end in fields(document)
    }
    return found[b"fragment"], found[b"of"]


def _integer(data: bytes, kind: int, value: int) -> int:
    packed = _INTEGERS.get(kind)
    if packed is not None:
        number: int = packed.unpack_from(data, value)[0]
        return number
    if kind == 0x01:
        return int(_DOUBLE.unpack_from(data, value)[0])
    raise InvalidBSON(f"a number has the type {kind}")
