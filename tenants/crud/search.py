"""``q=``: every word must stand somewhere in the searchable fields, in any case.

Substrings, because people search for parts of names and addresses, and because the embedded PostgreSQL has no trigram
extension. No index serves it: it reads the tenant's own rows, bounded by ``statement_timeout``. A tenant's schema keeps
that to one tenant's table; a resource of millions of rows leaves ``searchable`` empty.
"""

from tenants.crud.faults import query_fault
from tenants.crud.filters import escape_like
from tenants.errors import ValidationFailed
from tenants.resources.values import BadValue, check_text

SHORTEST, LONGEST = 2, 100  # characters of all words together
MOST_WORDS = 8


def read_search(text: str | None) -> tuple[str, ...]:
    """LIKE patterns, one for each word; none when nothing is searched for. Raises ValidationFailed."""
    if text is None:
        return ()
    try:
        words = check_text(text).split()
    except BadValue as error:
        raise ValidationFailed((query_fault("q", error.code, error.message),)) from error
    if len(text) > LONGEST or len(words) > MOST_WORDS:
        message = f"Must have at most {LONGEST} characters and {MOST_WORDS} words."
        raise ValidationFailed((query_fault("q", "too_long", message),))
    if sum(map(len, words)) < SHORTEST:
        raise ValidationFailed((query_fault("q", "too_short", f"Must have at least {SHORTEST} characters."),))
    return tuple(f"%{escape_like(word)}%" for word in words)
