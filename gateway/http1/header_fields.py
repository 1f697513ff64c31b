"""Parses header fields (RFC 9110 section 5, RFC 9112 section 5, PX5) and validates Host (RFC 9110 section 7.2)."""

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from ipaddress import IPv6Address

from gateway.problems.errors import HeadersTooLarge, MalformedRequest

MAX_FIELDS = 100
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # RFC 9110 section 5.6.2

# No whitespace before the name (obs-fold) or before the colon. Values may contain non-ASCII bytes (obs-text).
_LINE = re.compile(rb"^(" + TOKEN + rb"):([\t -~\x80-\xff]*+)\r\n", re.MULTILINE)
# Bytes that make the lines invalid whatever follows: a control byte, a bare CR or a bare LF.
_INVALID = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?=[^\n])")

_HOST = re.compile(
    rb"(?P<name>(?:[A-Za-z0-9._~!$&'()*+,;=-]++|%[0-9A-Fa-f]{2})++|\[(?P<v6>[0-9A-Fa-f:.]++)\])(?::(?P<port>[0-9]{1,5}))?+"
)
_MAX_PORT = 65_535
_HOST_CACHE_SIZE = 1_024

Field = tuple[bytes, bytes]


def parse_lines(block: bytes) -> list[Field]:
    """Lower-case names and stripped values of complete header lines, each with its CRLF.

    Raises MalformedRequest or HeadersTooLarge.
    """
    count = block.count(b"\n")
    if count > MAX_FIELDS:
        raise HeadersTooLarge
    found = _LINE.findall(block)
    if len(found) != count:  # each match is exactly one line, so at least one line did not match
        raise MalformedRequest(detail="a header line is not a name, a colon and a value")
    return [(name.lower(), value.strip(b"\t ")) for name, value in found]


def check_partial(data: bytes, start: int) -> None:
    """Reject incomplete lines early: MalformedRequest if no continuation can make ``data[start:]`` valid."""
    if _INVALID.search(data, start):
        raise MalformedRequest(detail="a control byte, a bare CR or a bare LF in a head or a trailer")


def host_validator(allowed: Collection[str] = ()) -> Callable[[bytes], bool]:
    """A predicate for Host values: syntactically valid, and one of ``allowed`` if that is not empty. Ports are free."""
    names = frozenset(host.lower() for host in allowed)

    @lru_cache(maxsize=_HOST_CACHE_SIZE)
    def is_valid(value: bytes) -> bool:
        host = _HOST.fullmatch(value)
        if host is None or int(host["port"] or 0) > _MAX_PORT:
            return False
        if host["v6"] is not None and not _is_v6(host["v6"].decode("ascii")):
            return False
        return not names or host["name"].decode("ascii").lower() in names

    return is_valid


def _is_v6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
