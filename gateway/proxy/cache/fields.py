"""Header fields of answers: looked up, combined, compared."""

import re
from collections.abc import Iterable, Sequence
from email.utils import parsedate_to_datetime
from functools import lru_cache

from gateway.request.fields import Field, RequestFields

_TAG = re.compile(rb'[\s,]*(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|\Z)')


def combined(fields: Iterable[Field], name: bytes) -> bytes | None:
    """The value of a field, its lines joined (RFC 9110 section 5.3); None when it was not sent."""
    found: bytes | None = None
    for each, value in fields:
        if each == name:
            found = value if found is None else found + b", " + value
    return found


def sent_value(fields: RequestFields, headers: Sequence[Field], name: bytes) -> bytes | None:
    """The same, of a request."""
    return combined(headers, name) if fields.repeated else fields.by_name.get(name)


def names_in(value: bytes | None) -> frozenset[bytes]:
    """The lower-case members of a list of names, such as ``Vary``."""
    if not value:
        return frozenset()
    return frozenset(name for each in value.lower().split(b",") if (name := each.strip()))


@lru_cache(1024)
def http_date(text: bytes) -> float | None:
    """Seconds since the epoch; None for what is no date."""
    try:
        parsed = parsedate_to_datetime(text.decode("ascii"))
    except (ValueError, IndexError, OverflowError):
        return None
    return parsed.timestamp() if parsed.tzinfo is not None else None


def opaque_tag(tag: bytes) -> bytes:
    """An entity tag without its weakness, for weak comparison (RFC 9110 section 8.8.3.2)."""
    return tag.removeprefix(b"W/")


def names_tag(if_none_match: bytes, etag: bytes | None) -> bool:
    """The list names this tag by weak comparison, or ``*`` (RFC 9110 section 13.1.2)."""
    if if_none_match.strip() == b"*":
        return True
    if etag is None:
        return False
    position, opaque = 0, opaque_tag(etag)
    while match := _TAG.match(if_none_match, position):
        if match[1] == opaque:
            return True
        position = match.end()
    return False
