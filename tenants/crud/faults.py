"""Where in a query something is wrong, in the pointers that the whole service uses: ``/query/<parameter>``."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tenants.errors import FieldError

# Anything else in the place of a name is the caller's own text, and is not repeated.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}", re.ASCII)


def query_fault(parameter: str, code: str, message: str) -> FieldError:
    """One thing wrong with a parameter of the query; ``parameter`` is named without its operator."""
    pointer = f"/query/{parameter}" if _NAME.fullmatch(parameter) else "/query"
    return FieldError(pointer, code, message)


def repetitions(parameters: Sequence[tuple[str, str]]) -> Iterator[FieldError]:
    """One fault for each name that is given more than once: which of its values is meant would be a guess."""
    counted = Counter(name for name, _ in parameters)
    for name in (name for name, times in counted.items() if times > 1):
        yield query_fault(name.partition("[")[0], "repeated", "Given more than once.")
