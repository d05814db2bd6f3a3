"""BSON's decimals as Arrow's, without a Python decimal for each: those take ten times as long."""

import struct
from collections.abc import Iterator, Sequence

import pyarrow as pa

from finops.segments.schema import AMOUNT
from finops.segments.values import LARGEST, SCALE

_BIAS = 6176 - SCALE  # of the exponent, counted in steps of 10**-18
_OUTSIDE = int(LARGEST) * 10**SCALE
_POWERS = [10**number for number in range(SCALE + 35)]
_COEFFICIENT = (1 << 49) - 1  # its part in the upper half


def amounts(found: Sequence[object]) -> pa.Array:
    """Decimals of BSON, and nulls, as ``AMOUNT``.

    Raises ArrowInvalid for one that is no number, is out of range or would lose a digit, and
    AttributeError for what is no decimal.
    """
    present = [value for value in found if value is not None]
    scaled = _scaled(b"".join([value.bid for value in present]))  # type: ignore[attr-defined]
    if len(present) == len(found):
        data = b"".join([number.to_bytes(16, "little", signed=True) for number in scaled])
        return pa.Array.from_buffers(AMOUNT, len(found), [None, pa.py_buffer(data)])
    null = bytes(16)
    data = b"".join(
        [
            null if value is None else next(scaled).to_bytes(16, "little", signed=True)
            for value in found
        ]
    )
    valid = pa.array([value is not None for value in found]).buffers()[1]
    return pa.Array.from_buffers(AMOUNT, len(found), [valid, pa.py_buffer(data)])


def _scaled(encoded: bytes) -> Iterator[int]:
    """Each decimal in steps of 10**-18.

    Source: IEEE 754-2008, 3.5.2, the binary encoding of decimal128: sign, 14 bits of exponent, 113
    of coefficient. What begins otherwise is infinite, no number, or not canonical.
    """
    for low, high in struct.iter_unpack("<QQ", encoded):
        if high >> 61 & 3 == 3:
            raise pa.ArrowInvalid("No finite number.")
        number = (high & _COEFFICIENT) << 64 | low
        shift = (high >> 49 & 0x3FFF) - _BIAS
        if shift < 0:
            if shift < -34:
                number, lost = 0, number
            else:
                number, lost = divmod(number, _POWERS[-shift])
            if lost:
                raise pa.ArrowInvalid("It has more decimals.")
        elif number:
            # So large a shift is out of range for any number but zero.
            number *= _POWERS[min(shift, 34)]
        if number >= _OUTSIDE:
            raise pa.ArrowInvalid("Out of range.")
        yield -number if high >> 63 else number
