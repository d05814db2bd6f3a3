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
_SCIENTIFIC = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,6}))?", re.ASCII)


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
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    digits = whole + fraction
    negative = digits[:1] == "-"
    if negative or digits[:1] == "+":
        digits = digits[1:]
    if digits.isdecimal() and digits.isascii():
        if len(digits) <= 34:
            return _from_parts(negative, int(digits), -len(fraction))
        return _assembled(negative, digits, -len(fraction))
    return _scientific(text)


def _scientific(text: str) -> Decimal128:
    """The rarer forms: with an exponent, or zeros only after the point."""
    match = _SCIENTIFIC.fullmatch(text)
    if not match or not (match[2] or match[3]):
        raise NotANumberError
    fraction = match[3] or ""
    exponent = int(match[4] or 0) - len(fraction)
    return _assembled(match[1] == "-", match[2] + fraction, exponent)


def _assembled(negative: bool, digits: str, exponent: int) -> Decimal128:
    """The number with its exponent brought as near to zero as zeros at its end allow."""
    significant = digits.strip("0")
    if not significant:
        return _ZERO
    exponent += len(digits) - len(digits.rstrip("0"))
    if 0 < exponent <= 34 - len(significant):
        significant, exponent = significant + "0" * exponent, 0
    if len(significant) > 34 or not _MIN_EXPONENT <= exponent <= _MAX_EXPONENT:
        raise TooManyDigitsError
    return _from_parts(negative, int(significant), exponent)


def _from_parts(negative: bool, coefficient: int, exponent: int) -> Decimal128:
    """The number from its bits, which takes a tenth of what it takes by way of Decimal."""
    if not coefficient:
        return _ZERO
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

    def include(self, other: "ExactSum") -> None:
        """Add what another sum has."""
        for exponent, coefficient in other._by_exponent.items():
            self._by_exponent[exponent] = self._by_exponent.get(exponent, 0) + coefficient

    def total(self) -> decimal.Decimal:
        """The sum so far."""
        total = decimal.Decimal(0)
        for exponent, coefficient in self._by_exponent.items():
            total = _EXACT.add(total, decimal.Decimal(coefficient).scaleb(exponent, _EXACT))
        return total
