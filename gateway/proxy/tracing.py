"""W3C Trace Context: a request's ``traceparent`` and ``tracestate`` go on to the upstream, or a new trace begins.

The gateway writes no spans of its own, so it passes the fields on unchanged (Trace Context section 4.3, forwarding).
Where there is none, it begins a trace, so that the upstream's spans and its log can be found by one id.
"""

import re
from random import getrandbits, random

TRACEPARENT, TRACESTATE = b"traceparent", b"tracestate"

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

    def __init__(self, share: float = 1.0) -> None:
        self._share = share

    def new(self) -> bytes:
        """A ``traceparent`` of a new trace. Ids need not be unpredictable."""
        sampled = self._share >= 1 or random() < self._share  # noqa: S311 - a sample
        flags = b"01" if sampled else b"00"
        return b"00-%032x-%016x-%b" % (getrandbits(128) | 1, getrandbits(64) | 1, flags)
