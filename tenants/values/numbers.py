"""Whole numbers: ``348.0`` is 348 (JSON Schema draft 2020-12, section 6.1.1) wherever an integer is read.

With a fraction or an exponent, JSON parsers make a double of it, which is exact within ±(2^53 - 1) only (RFC 7493
section 2.2): beyond that, 9007199254740993.0 would be stored as another number, so it is refused.
"""

import re

from pydantic import BeforeValidator

from tenants.values.errors import BadValue, with_pydantic_errors

LARGEST_EXACT = 2**53 - 1

_TEXT = re.compile(r"(-?[0-9]{1,100})(\.0{1,100})?")


def read_integer(text: str) -> int:
    """The whole number in a parameter. Raises BadValue."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise BadValue("wrong_type", "Must be an integer.")
    number = int(match[1])
    return _exact(number) if match[2] else number


def _exact(number: int) -> int:
    if abs(number) > LARGEST_EXACT:
        message = f"With a fraction or an exponent, an integer must be within ±{LARGEST_EXACT}. Write its digits alone."
        raise BadValue("too_large" if number > 0 else "too_small", message)
    return number


def whole_number(value: object) -> int:
    """The whole number in a JSON document: no text, and no ``true``. Raises BadValue."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return _exact(int(value))
    raise BadValue("wrong_type", "Must be an integer.")


def _from_query(value: object) -> int:
    return read_integer(value) if isinstance(value, str) else whole_number(value)


# ``Annotated[int, Field(ge=1), WHOLE]``: in the models of bodies, and of queries.
WHOLE = BeforeValidator(with_pydantic_errors(whole_number))
WHOLE_IN_QUERY = BeforeValidator(with_pydantic_errors(_from_query))
