"""A timestamp in management requests, in the same format as in data (``values.read_datetime``).

pydantic alone also accepts numbers and numeric strings as seconds since 1970: a wrong unit, or a year, would pass
unnoticed.
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
