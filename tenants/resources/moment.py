"""A moment in a query or a body of management, in the one spelling that data has (``values.read_datetime``).

pydantic by itself also takes numbers, and texts that hold one, for seconds since 1970: a caller who mistook the unit,
or sent a year, would be told nothing.
"""

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from tenants.resources.values import BadValue, read_datetime


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return read_datetime(value if isinstance(value, str) else "")
    except BadValue as error:
        raise PydanticCustomError(error.code, error.message) from error


Moment = Annotated[datetime, BeforeValidator(_moment)]
