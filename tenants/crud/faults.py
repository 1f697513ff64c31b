"""Where in a query something is wrong, in the pointers that the whole service uses: ``/query/<parameter>``."""

import re

from tenants.errors import FieldError

# Anything else in the place of a name is the caller's own text, and is not repeated.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}", re.ASCII)


def query_fault(parameter: str, code: str, message: str) -> FieldError:
    """One thing wrong with a parameter of the query; ``parameter`` is named without its operator."""
    pointer = f"/query/{parameter}" if _NAME.fullmatch(parameter) else "/query"
    return FieldError(pointer, code, message)
