"""Ranges of ``_id``: what a part of a snapshot covers, and what is left of it behind a key.

A server compares an ``_id`` in a filter only with values of the same bracket of types, but sorts
all of them. So a range that crosses brackets is several filters, one behind the other. They are
flat ones, because not every server plans the others.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bson import Decimal128
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument

# BSON's order of types, which is the order of a scan by _id.
BRACKETS: tuple[tuple[str, ...], ...] = (
    ("minKey",),
    ("null",),
    ("int", "long", "double", "decimal"),
    ("string", "symbol"),
    ("object",),
    ("binData",),
    ("objectId",),
    ("bool",),
    ("date",),
    ("timestamp",),
    ("dbPointer",),
    ("javascript",),
    ("javascriptWithScope",),
    ("maxKey",),
)
EVERY_BRACKET = tuple(range(len(BRACKETS)))
# With one value each. Everything compares above MinKey and below MaxKey, whatever its bracket.
_SINGLE = frozenset({"minKey", "null", "maxKey"})
_ALIASES = {
    0xFF: "minKey",
    0x0A: "null",
    0x10: "int",
    0x12: "long",
    0x01: "double",
    0x13: "decimal",
    0x02: "string",
    0x0E: "symbol",
    0x03: "object",
    0x05: "binData",
    0x07: "objectId",
    0x08: "bool",
    0x09: "date",
    0x11: "timestamp",
    0x0C: "dbPointer",
    0x0D: "javascript",
    0x0F: "javascriptWithScope",
    0x7F: "maxKey",
}
_NUMBERS = 2
# A key goes into a filter as it came: dates outside of Python's years, embedded documents as bytes.
_EXACT: CodecOptions[RawBSONDocument] = CodecOptions(
    document_class=RawBSONDocument, datetime_conversion=DatetimeConversion.DATETIME_MS
)


@dataclass(frozen=True)
class Span:
    """The documents whose ``_id`` is above ``lower`` and not above ``upper``.

    Both are documents of the ``_id`` alone and not NaN; None is no limit. ``brackets`` are those
    that the collection has, as far as they are known: nothing is looked for in the others.
    """

    lower: bytes | None = None
    upper: bytes | None = None
    brackets: tuple[int, ...] = EVERY_BRACKET

    def filters(self, after: bytes | None = None) -> Iterator[dict[str, Any]]:
        """Yield filters whose results, each sorted by ``_id``, are all of the span in its order.

        ``after`` is a key of the span (as a document) behind which to begin.
        """
        start = self.lower if after is None else after
        if start is None and self.upper is None:
            yield {}
            return
        first = -1 if start is None else bracket_of(start)
        last = len(BRACKETS) if self.upper is None else bracket_of(self.upper)
        whole: list[str] = []
        for bracket in self.brackets:
            if not first <= bracket <= last:
                continue
            names = BRACKETS[bracket]
            if bracket not in (first, last) or (bracket != first and _SINGLE.issuperset(names)):
                whole += names
                continue
            if whole:
                yield {"_id": {"$type": whole}}
                whole = []
            yield from _inside(
                bracket,
                start if bracket == first else None,
                self.upper if bracket == last else None,
            )
        if whole:
            yield {"_id": {"$type": whole}}


def bracket_of(key: bytes) -> int:
    """Return the place of a key's type in ``BRACKETS``."""
    alias = _ALIASES[key[4]]
    return next(index for index, names in enumerate(BRACKETS) if alias in names)


def is_nan(key: bytes) -> bool:
    """Whether a key is the number that is neither above nor below any other."""
    value = _value(key)
    if isinstance(value, Decimal128):
        return value.to_decimal().is_nan()
    return isinstance(value, float) and math.isnan(value)


def _inside(bracket: int, start: bytes | None, upper: bytes | None) -> Iterator[dict[str, Any]]:
    """Yield filters for what is above ``start`` and not above ``upper`` in their own bracket."""
    if start is not None and _SINGLE.issuperset(BRACKETS[bracket]):
        return
    chosen: dict[str, Any] = {}
    if start is not None:
        # NaN sorts below every number, and compares with none.
        chosen |= {"$gte": -math.inf} if is_nan(start) else {"$gt": _value(start)}
    elif bracket == _NUMBERS:
        yield {"_id": math.nan}
    if upper is not None:
        chosen["$lte"] = _value(upper)
    yield {"_id": chosen}


def _value(key: bytes) -> Any:
    return RawBSONDocument(key, _EXACT)["_id"]
