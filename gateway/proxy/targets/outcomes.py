"""How one attempt to have a request answered by a target has ended."""

from enum import IntEnum


class Outcome(IntEnum):
    """Numbers are indexes of counters. The label of a metric is the name in lower case."""

    OK = 0  # a complete response; also 4xx and 500, which are the application's own answers
    BAD_STATUS = 1  # 502, 503 or 504: what stands between us and the application has failed
    NO_CONNECTION = 2  # refused, no route, TLS, name, or not connected in time
    TIMEOUT = 3  # no head, or no further byte of the body, in time
    CUT = 4  # the connection ended before the response did
    INVALID = 5  # not a response of HTTP/1.1
    # What follows says nothing about the target.
    STALE = 6  # a pooled connection had been closed; nothing was sent, or nothing can have been done
    BUSY = 7  # the bound on connections is reached
    ABANDONED = 8  # the client left, or we were stopped


LAST_FAILURE = Outcome.INVALID  # those from BAD_STATUS to here count against the target

_BAD_STATUSES = frozenset({502, 503, 504})


def of_status(status: int) -> Outcome:
    """The outcome of a complete response."""
    return Outcome.BAD_STATUS if status in _BAD_STATUSES else Outcome.OK
