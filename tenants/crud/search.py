"""``q=``: every word must occur in one of the searchable fields, in any case.

It matches substrings, because people search for parts of names and addresses, and core PostgreSQL has no trigram
index. It scans the tenant's own table, bounded by ``statement_timeout``; a resource of millions of rows leaves
``searchable`` empty.
"""

from tenants.crud.faults import query_fault
from tenants.crud.filters import escape_like
from tenants.errors import ValidationFailed
from tenants.resources.values import check_text
from tenants.values.errors import BadValue

MIN_LENGTH, MAX_LENGTH = 2, 100  # characters of all words together
MAX_WORDS = 8


def read_search(text: str | None) -> tuple[str, ...]:
    """LIKE patterns, one for each word; none without a search. Raises ValidationFailed."""
    if text is None:
        return ()
    try:
        words = check_text(text).split()
    except BadValue as error:
        raise ValidationFailed((query_fault("q", error.code, error.message),)) from error
    if len(text) > MAX_LENGTH or len(words) > MAX_WORDS:
        message = f"Must have at most {MAX_LENGTH} characters and {MAX_WORDS} words."
        raise ValidationFailed((query_fault("q", "too_long", message),))
    if sum(map(len, words)) < MIN_LENGTH:
        raise ValidationFailed((query_fault("q", "too_short", f"Must have at least {MIN_LENGTH} characters."),))
    return tuple(f"%{escape_like(word)}%" for word in words)
