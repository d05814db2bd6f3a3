"""Exact decimals: from text to ``Decimal128`` with one form per number."""

import decimal
import re

from bson.decimal128 import Decimal128

_BIAS = 6176
_MIN_EXPONENT, _MAX_EXPONENT = -6176, 6111
_SIGN = 1 << 63
_LOW = (1 << 64) - 1
_COEFFICIENT = (1 << 113) - 1
# Holds the sum of the largest and of the smallest number that there are, and of 10**100 of them.
_EXACT = decimal.Context(prec=12_500, Emin=-99_999, Emax=99_999)
_ZERO = Decimal128("0")
_SCIENTIFIC = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?[eE]([+-]?[0-9]{1,6})", re.ASCII)


class NotANumberError(ValueError):
    """The text is not a decimal number."""


class TooManyDigitsError(ValueError):
    """The number does not fit: more than 34 digits, or an exponent out of range."""


def decimal128(text: str) -> Decimal128:
    """The number that ``text`` says, exactly.

    ``12``, ``-0.50``, ``.5`` and ``1.2E-7`` are numbers. Zeros that carry no information are left
    out, so that equal numbers are equal documents: 1.50 and 1.5 are the same, as are 0 and -0.

    Raises ``NotANumberError`` or ``TooManyDigitsError``.
    """
    sign, digits = "", text
    if text[:1] in {"-", "+"}:
        sign, digits = text[0], text[1:]
    whole, _, fraction = digits.partition(".")
    fraction = fraction.rstrip("0") or ("" if whole else fraction[:1])
    digits = whole + fraction
    if digits.isdecimal() and digits.isascii():
        return _assembled(sign == "-", digits, -len(fraction))
    match = _SCIENTIFIC.fullmatch(text)
    if not match or not (match[2] or match[3]):
        raise NotANumberError
    fraction = match[3] or ""
    return _assembled(match[1] == "-", match[2] + fraction, int(match[4]) - len(fraction))


def _assembled(negative: bool, digits: str, exponent: int) -> Decimal128:
    """The number from its parts; built from its bits, which is ten times as fast as by Decimal."""
    digits = digits.lstrip("0")
    if not digits:
        return _ZERO
    if exponent < 0:
        kept = digits.rstrip("0")
        dropped = min(len(digits) - len(kept), -exponent)
        digits, exponent = digits[: len(digits) - dropped], exponent + dropped
    elif len(digits) + exponent <= 34:
        digits, exponent = digits + "0" * exponent, 0
    else:
        kept = digits.rstrip("0")
        digits, exponent = kept, exponent + len(digits) - len(kept)
    if len(digits) > 34 or not _MIN_EXPONENT <= exponent <= _MAX_EXPONENT:
        raise TooManyDigitsError
    coefficient = int(digits)
    high = (coefficient >> 64) | ((exponent + _BIAS) << 49)
    bits = (high | _SIGN if negative else high, coefficient & _LOW)
    return Decimal128(bits)  # type: ignore[arg-type] # documented; the annotation forgot it


def is_negative(value: Decimal128) -> bool:
    """Whether a number is below zero (``decimal128`` makes no negative zero)."""
    return value.bid[15] >= 0x80


class ExactSum:
    """A sum of numbers made by ``decimal128``, without any rounding."""

    def __init__(self) -> None:
        self._by_exponent: dict[int, int] = {}

    def add(self, value: Decimal128) -> None:
        """Add one number. Works on its bits: ``to_decimal`` takes ten times as long."""
        bits = int.from_bytes(value.bid, "little")
        coefficient = bits & _COEFFICIENT
        exponent = (bits >> 113 & 0x3FFF) - _BIAS
        by_exponent = self._by_exponent
        by_exponent[exponent] = by_exponent.get(exponent, 0) + (
            -coefficient if bits >> 127 else coefficient
        )

    def total(self) -> decimal.Decimal:
        """The sum so far."""
        total = decimal.Decimal(0)
        for exponent, coefficient in self._by_exponent.items():
            total = _EXACT.add(total, decimal.Decimal(coefficient).scaleb(exponent, _EXACT))
        return total
