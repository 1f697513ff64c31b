"""The error of a value that cannot be read, and its form in pydantic models."""

from collections.abc import Callable
from typing import Any

from pydantic_core import PydanticCustomError


class BadValue(ValueError):
    """An invalid value: a stable code, and a message that does not echo the value."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def with_pydantic_errors(read: Callable[[Any], object]) -> Callable[[Any], object]:
    """The reader as a validator: its BadValue becomes pydantic's own error, which keeps code and message."""

    def checked(value: object) -> object:
        try:
            return read(value)
        except BadValue as error:
            raise PydanticCustomError(error.code, error.message) from error

    return checked
