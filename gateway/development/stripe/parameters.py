"""The types of parameters: they parse strings, and fail with Stripe's error messages."""

import re
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from gateway.development.stripe.errors import StripeError

_INTEGER = re.compile(r"-?\d{1,15}")
_LONGEST = 5000
_MOST_METADATA = 50
T = TypeVar("T")


class Parameters(BaseModel):
    """Base of every parameter model. Unknown names are rejected, as https://docs.stripe.com/error-codes says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def given(self, *names: str) -> dict[str, Any]:
        """Those of the named parameters that the caller sent, as plain values."""
        sent = self.model_dump(include=set(names))
        return {name: sent[name] for name in names if name in self.model_fields_set}


def _integer(value: object) -> object:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise PydanticCustomError("parameter_invalid_integer", "Invalid integer: {value}", {"value": str(value)})


def _boolean(value: object) -> object:
    if value in {"true", "false"}:
        return value == "true"
    raise PydanticCustomError("parameter_invalid_boolean", "Invalid boolean: {value}", {"value": str(value)})


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise PydanticCustomError("parameter_invalid_string", "Invalid string: {value}", {"value": str(value)})
    if not value:
        message = "You passed an empty string, which would unset the parameter; this one cannot be unset."
        raise PydanticCustomError("parameter_invalid_empty", message)
    return value


def _array(value: object) -> object:
    if isinstance(value, dict) and all(index.isdigit() for index in value):
        return [value[index] for index in sorted(value, key=int)]
    if isinstance(value, list):
        return value
    raise PydanticCustomError("parameter_invalid_array", "Invalid array")


def _unset(value: object) -> object:
    return None if value == "" else value


Integer = Annotated[int, BeforeValidator(_integer)]
Natural = Annotated[int, BeforeValidator(_integer), Field(ge=0)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Text = Annotated[str, BeforeValidator(_text), Field(max_length=_LONGEST)]
Array = Annotated[list[T], BeforeValidator(_array)]
Clearable = Annotated[T | None, BeforeValidator(_unset)]
Metadata = Annotated[dict[str, str] | None, BeforeValidator(_unset)]


class Expandable(Parameters):
    """Parameters of every endpoint that returns an object."""

    expand: Array[Text] = []


class Range(Parameters):
    """A range such as ``created[gte]=…``, in seconds since the epoch."""

    gt: Integer | None = None
    gte: Integer | None = None
    lt: Integer | None = None
    lte: Integer | None = None

    def holds(self, value: int) -> bool:
        """True when the value is within every given bound."""
        return not (
            (self.gt is not None and value <= self.gt)
            or (self.gte is not None and value < self.gte)
            or (self.lt is not None and value >= self.lt)
            or (self.lte is not None and value > self.lte)
        )


def _range(value: object) -> object:
    return {"gte": value, "lte": value} if isinstance(value, str) else value


class Page(Expandable):
    """Parameters of every list. Source: https://docs.stripe.com/api/pagination."""

    limit: Annotated[int, BeforeValidator(_integer), Field(ge=1, le=100)] = 10
    starting_after: Text | None = None
    ending_before: Text | None = None
    created: Annotated[Range | None, BeforeValidator(_range)] = None


def merge_metadata(held: dict[str, str], given: dict[str, str] | None) -> dict[str, str]:
    """Metadata after an update: given keys change, an empty value removes its key, an empty string removes all."""
    if given is None:
        return {}
    merged = {key: value for key, value in (held | given).items() if value != ""}
    if len(merged) > _MOST_METADATA:
        raise StripeError(f"You can have up to {_MOST_METADATA} metadata keys.", param="metadata")
    return merged
