"""348.0 is 348 wherever an integer is read, as far as a double is exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.values.errors import BadValue
from tenants.values.numbers import LARGEST_EXACT, read_integer, whole_number

_EXACT = st.integers(-LARGEST_EXACT, LARGEST_EXACT)


@given(_EXACT)
def test_a_fraction_of_zero_changes_nothing(number: int) -> None:
    """DA1: in a document and in a parameter."""
    assert whole_number(float(number)) == whole_number(number) == number
    assert read_integer(f"{number}.0") == read_integer(str(number)) == number


@given(st.floats(allow_nan=False).filter(lambda each: abs(each) > LARGEST_EXACT))
def test_a_double_that_may_have_been_another_number_is_refused(number: float) -> None:
    """DA1: 9007199254740993.0 is read as ...992 by every JSON parser that makes doubles."""
    with pytest.raises(BadValue):
        whole_number(number)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (9007199254740992.0, "too_large"),
        (-9007199254740992.0, "too_small"),
        (1e300, "too_large"),
        (1.5, "wrong_type"),
        (float("inf"), "wrong_type"),
        (True, "wrong_type"),
        ("348", "wrong_type"),
        (None, "wrong_type"),
    ],
)
def test_what_is_no_exact_integer_is_refused(value: object, code: str) -> None:
    """DA1: the bound is below 2^53 (RFC 7493 section 2.2)."""
    with pytest.raises(BadValue) as raised:
        whole_number(value)
    assert raised.value.code == code


def test_digits_alone_are_exact_without_a_bound() -> None:
    """The column's bound follows."""
    assert (whole_number(2**63), read_integer(str(2**63))) == (2**63, 2**63)
    assert whole_number(9007199254740991.0) == read_integer("9007199254740991.00") == LARGEST_EXACT


@pytest.mark.parametrize("text", ["9007199254740992.0", "348.5", "348.", ".0", "1e3", "+1", " 1", "1_0", "\u0661", ""])
def test_a_parameter_is_digits_with_at_most_a_fraction_of_zero(text: str) -> None:
    """DA1: the same bound as in a document."""
    with pytest.raises(BadValue):
        read_integer(text)
