"""Header lines to names and values (RFC 9110 section 5, RFC 9112 section 5, PX5)."""

import re

from gateway.problems.errors import HeadersTooLarge, MalformedRequest

MOST_FIELDS = 100
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # RFC 9110 section 5.6.2

# No line has white space before its name (obs-fold) or before its colon. Bytes beyond ASCII may stand in a value.
_LINE = re.compile(rb"^(" + TOKEN + rb"):([\t -~\x80-\xff]*+)\r\n", re.MULTILINE)
# What no further byte turns into lines: a control byte, half of a line end.
_HOPELESS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?=[^\n])")

Field = tuple[bytes, bytes]


def read_lines(block: bytes) -> list[Field]:
    """Names, in lower case, and values of whole lines, each with its line end.

    Raises MalformedRequest or HeadersTooLarge.
    """
    count = block.count(b"\n")
    if count > MOST_FIELDS:
        raise HeadersTooLarge
    found = _LINE.findall(block)
    if len(found) != count:  # a match is one line from its beginning to its end: some line is no match
        raise MalformedRequest(detail="a header line is not a name, a colon and a value")
    return [(name.lower(), value.strip(b"\t ")) for name, value in found]


def check_beginning(data: bytes, at: int) -> None:
    """Raises MalformedRequest when lines that begin like this, from ``at`` on, cannot end well."""
    if _HOPELESS.search(data, at):
        raise MalformedRequest(detail="a control byte or half a line end in a head or a trailer")
