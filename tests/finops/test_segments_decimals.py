"""Arrow's decimals out of BSON's bytes, against the way over Python's decimals."""

from decimal import Decimal
from itertools import chain

import pyarrow as pa
import pytest
from bson.decimal128 import Decimal128, create_decimal128_context
from hypothesis import given
from hypothesis import strategies as st

from finops.segments.decimals import amounts
from finops.segments.values import Defect, amount

NUMBERS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**14), max_value=10**14),
    st.decimals(places=18, min_value=-(10**15) - 1, max_value=10**15 + 1),
    st.builds(
        lambda sign, digits, exponent: Decimal((sign, tuple(map(int, str(digits))), exponent)),
        st.integers(0, 1),
        st.integers(0, 10**34 - 1),
        st.integers(-6176, 6111),
    ),
    st.integers(-(10**15), 10**15).map(Decimal),
)


def encoded(number: Decimal) -> Decimal128:
    return Decimal128(create_decimal128_context().create_decimal(number))


@given(st.lists(st.none() | NUMBERS.map(encoded), max_size=6))
def test_either_the_exact_amounts_or_a_refusal(found: list[Decimal128 | None]) -> None:
    one_by_one = [amount(value) for value in found]
    if any(defect is not None for _, defect in one_by_one):
        with pytest.raises(pa.ArrowInvalid):
            amounts(found)
    else:
        array = amounts(found)
        array.validate(full=True)
        assert array.to_pylist() == [number for number, _ in one_by_one]
        assert array.null_count == found.count(None)


@pytest.mark.parametrize(
    "text", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "1E+15", "1E-19", "1E+6111", "1E-6176"]
)
def test_what_a_segment_cannot_hold_is_refused(text: str) -> None:
    value = Decimal128(text)
    assert amount(value)[1] in {Defect.UNREADABLE, Defect.ROUNDED}
    with pytest.raises(pa.ArrowInvalid):
        amounts([value])


def test_a_coefficient_that_is_not_canonical_is_refused() -> None:
    with pytest.raises(pa.ArrowInvalid):
        amounts([Decimal128.from_bid(bytes(15) + b"\x6c")])


@pytest.mark.parametrize("text", ["0", "-0", "0E+6111", "0E-6176", "-0.000000000000000000000"])
def test_every_zero_is_zero(text: str) -> None:
    assert amounts([Decimal128(text)]).to_pylist() == [Decimal(0)]


@pytest.mark.parametrize("other", [1, 1.5, "2.5", Decimal(1), True])
def test_other_types_are_left_to_be_read_one_by_one(other: object) -> None:
    with pytest.raises(AttributeError):
        amounts([Decimal128("1"), other])


def test_a_sum_over_many_is_exact() -> None:
    texts = [f"{number}.{number:018d}" for number in range(1000)]
    array = amounts(list(chain([None], map(Decimal128, texts))))
    assert sum(array.to_pylist()[1:]) == sum(map(Decimal, texts))
