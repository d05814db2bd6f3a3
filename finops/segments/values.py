"""Values of documents as values of segments: exact where possible, counted where not."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from enum import StrEnum

from bson.decimal128 import Decimal128

SCALE = 18
# No sum of a hundred thousand such amounts can leave what DECIMAL(38,18) holds.
LARGEST = Decimal(10) ** 15
_STEP = Decimal(1).scaleb(-SCALE)
# Python's default of 28 digits would round silently.
EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)


class Defect(StrEnum):
    """Why a segment's value differs from the document's."""

    ROUNDED = "rounded"  # had more than 18 decimals: rounded half to even
    UNREADABLE = "unreadable"  # not of the column's type, or out of range: null in the segment


def amount(value: object) -> tuple[Decimal | None, Defect | None]:
    """A cost, quantity or price with at most 18 decimals."""
    number = _decimal(value)
    if number is None:
        return None, None if value is None else Defect.UNREADABLE
    if not number.is_finite() or abs(number) >= LARGEST:
        return None, Defect.UNREADABLE
    rounded = number.quantize(_STEP, context=EXACT)
    return rounded, None if rounded == number else Defect.ROUNDED


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal | int):
        return Decimal(value)
    # The shortest text that gives the float back is what its writer saw.
    text = repr(value) if isinstance(value, float) else value
    if isinstance(text, str):
        try:
            return Decimal(text.strip())
        except InvalidOperation:
            return None
    return None


def moment(value: object) -> tuple[datetime | None, Defect | None]:
    """A UTC instant; one without a zone is taken as UTC."""
    found = value
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            return None, Defect.UNREADABLE
    if isinstance(found, datetime):
        return (found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)), None
    return None, None if value is None else Defect.UNREADABLE


def charge_day(value: object) -> date | None:
    """The UTC date of a ChargePeriodStart, or None where it is not a date and time."""
    return None if not isinstance(value, datetime) else _utc(value).date()


def _utc(value: datetime) -> datetime:
    return value if value.tzinfo is None else value.astimezone(UTC)


def text(value: object) -> tuple[str | None, Defect | None]:
    """Text as it is; anything else as people would write it."""
    if value is None or isinstance(value, str):
        return value, None
    if isinstance(value, bool | Mapping | list):
        return json_text(value), None
    return str(value), None


def json_text(value: object) -> str | None:
    """JSON as text; text is taken to be JSON already."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, default=str, ensure_ascii=False, sort_keys=True)


def tag_pairs(value: object) -> tuple[dict[str, str | None] | None, Defect | None]:
    """Tags by key, keys untouched; a tag without a value is ``true``, as FOCUS has it."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return None, Defect.UNREADABLE
    if value is None:
        return None, None
    if not isinstance(value, Mapping):
        return None, Defect.UNREADABLE
    return {str(key): text(one)[0] for key, one in value.items()}, None
