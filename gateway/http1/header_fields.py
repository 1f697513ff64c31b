"""Parses header fields (RFC 9110 section 5, RFC 9112 section 5, PX5) and validates Host (RFC 9110 section 7.2)."""

import re
from functools import lru_cache
from ipaddress import IPv6Address

from gateway.http1.rules import Rule, UnreadableRequest
from gateway.problems.errors import HeadersTooLarge

MAX_FIELDS = 100
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # RFC 9110 section 5.6.2

# No whitespace before the name (obs-fold) or before the colon. Values may contain non-ASCII bytes (obs-text).
_LINE = re.compile(rb"^(" + TOKEN + rb"):([\t -~\x80-\xff]*+)\r\n", re.MULTILINE)
# Bytes that make the lines invalid whatever follows: a control byte, a bare LF or a bare CR.
_INVALID = re.compile(
    rb"(?P<CONTROL_BYTE>[\x00-\x08\x0b\x0c\x0e-\x1f\x7f])|(?P<BARE_LF>(?<!\r)\n)|(?P<BARE_CR>\r(?=[^\n]))"
)
_TOKEN = re.compile(TOKEN)

_HOST = re.compile(
    rb"(?P<name>(?:[A-Za-z0-9._~!$&'()*+,;=-]++|%[0-9A-Fa-f]{2})+|\[(?P<v6>[0-9A-Fa-f:.]++)\])(?::(?P<port>[0-9]{1,5}))?"
)
_MAX_PORT = 65_535
_HOST_CACHE_SIZE = 1_024

Field = tuple[bytes, bytes]


def parse_lines(block: bytes) -> list[Field]:
    """Lower-case names and stripped values of complete header lines, each with its CRLF.

    Raises UnreadableRequest or HeadersTooLarge.
    """
    count = block.count(b"\n")
    if count > MAX_FIELDS:
        raise HeadersTooLarge
    found = _LINE.findall(block)
    if len(found) != count:  # each match is exactly one line, so at least one line did not match
        raise UnreadableRequest(_broken_rule(block))
    return [(name.lower(), value.strip(b"\t ")) for name, value in found]


def check_partial(data: bytes, start: int) -> None:
    """Reject incomplete lines early: UnreadableRequest if no continuation can make ``data[start:]`` valid."""
    invalid = _INVALID.search(data, start)
    if invalid is not None:
        raise UnreadableRequest(Rule[str(invalid.lastgroup)])


def is_token(text: bytes) -> bool:
    """Whether this is a token: RFC 9110 section 5.6.2."""
    return _TOKEN.fullmatch(text) is not None


@lru_cache(maxsize=_HOST_CACHE_SIZE)
def is_valid_host(value: bytes) -> bool:
    """Whether a Host value has a valid syntax. Which hosts a route serves is decided behind the server."""
    host = _HOST.fullmatch(value)
    if host is None or int(host["port"] or 0) > _MAX_PORT:
        return False
    return host["v6"] is None or _is_v6(host["v6"].decode("ascii"))


def _broken_rule(block: bytes) -> Rule:
    """The rule that the first invalid line of this block breaks."""
    check_partial(block, 0)
    invalid = next(each for each in block.splitlines(keepends=True) if _LINE.fullmatch(each) is None)
    name, colon, _ = invalid.partition(b":")
    if invalid.startswith((b" ", b"\t")):
        return Rule.FOLDED_LINE
    if not colon:
        return Rule.NO_COLON
    return Rule.SPACE_BEFORE_COLON if name.endswith((b" ", b"\t")) else Rule.FIELD_NAME


def _is_v6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
