"""W3C Trace Context: a request's ``traceparent`` and ``tracestate`` go on to the upstream, or a new trace begins.

The gateway writes no spans of its own, so it passes the fields on unchanged (Trace Context section 4.3, forwarding).
Where there is none, it begins a trace, so that the upstream's spans and its log can be found by one id.
"""

import re
from os import urandom
from random import random

from gateway.request.context import RequestContext

TRACEPARENT, TRACESTATE = b"traceparent", b"tracestate"
_DIGITS = 48  # of a trace's id and a span's; all of them zero, which is invalid, does not happen
_TRACES = 64

# Section 3.2: version ff is invalid, and so are ids of zeros. A later version may have further parts.
_VALID = re.compile(
    rb"(?:00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    rb"|(?!00|ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]*)?)"
)


def is_traceparent(value: bytes) -> bool:
    """Whether the value of ``traceparent`` is valid."""
    return _VALID.fullmatch(value) is not None


class TraceContext:
    """Begins traces; ``share`` (0 to 1) of them ask the upstream to record its spans."""

    own_spans = False  # the gateway has spans of its own (``spans.py``), which are the parents of the upstream's

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        self._ids = b""  # hexadecimal digits that are not used yet: drawn for many traces at once
        self._at = 0

    def outgoing(self, _request: RequestContext) -> bytes:
        """The ``traceparent`` for the upstream of a request that has none, or whose own span it is."""
        return self.new()

    def new(self) -> bytes:
        """A ``traceparent`` of a new trace."""
        at = self._at
        if at + _DIGITS > len(self._ids):
            self._ids, at = urandom(_TRACES * _DIGITS // 2).hex().encode(), 0
        self._at = end = at + _DIGITS
        sampled = self._share >= 1 or random() < self._share  # noqa: S311 - a sample
        ids = self._ids
        return b"00-%b-%b-%b" % (ids[at : end - 16], ids[end - 16 : end], b"01" if sampled else b"00")
