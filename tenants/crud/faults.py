"""Errors in query parameters, with pointers of the form ``/query/<parameter>``."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from tenants.errors import FieldError

# Any other name is the caller's own text, which an answer never echoes.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}", re.ASCII)


def query_fault(parameter: str, code: str, message: str) -> FieldError:
    """One error in a parameter, which is named without its operator."""
    pointer = f"/query/{parameter}" if _NAME.fullmatch(parameter) else "/query"
    return FieldError(pointer, code, message)


def repetitions(names: Iterable[str]) -> Iterator[FieldError]:
    """One fault for each name that is given more than once, since parsers disagree on which value counts."""
    for name in (name for name, times in Counter(names).items() if times > 1):
        yield query_fault(name.partition("[")[0], "repeated", "Given more than once.")
