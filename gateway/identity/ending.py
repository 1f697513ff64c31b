"""The header fields that warn of the end of an API key.

``Deprecation`` (RFC 9745) says since when the key has a successor, ``Sunset`` (RFC 8594) when it ends. A key that was
rotated sends both until its overlap ends; one that only expires sends ``Sunset`` in the last seven days before.
"""

import time
from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache

from gateway.request.context import Header
from tenants.principal import KeyEnding

_NOTICE = 7 * 86_400  # seconds
_CACHED = 4_096  # keys that end


def warnings_of(ending: KeyEnding) -> Sequence[Header]:
    """The fields to send now."""
    if ending.rotated_at is None and ending.at - time.time() > _NOTICE:
        return ()
    return _fields(ending.at, ending.rotated_at)


@lru_cache(_CACHED)
def _fields(at: float, rotated_at: float | None) -> tuple[Header, ...]:
    sunset = (b"sunset", formatdate(int(at), usegmt=True).encode())
    return (sunset,) if rotated_at is None else ((b"deprecation", b"@%d" % int(rotated_at)), sunset)
