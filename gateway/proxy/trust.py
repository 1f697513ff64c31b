"""For how long the routes of a worker may be used (ID14).

A change that takes rights away is answered when every worker has confirmed it, or after a bound at which no worker
trusts what it had before (``tenants/database/confirmations.py``). So routes are used for ``TRUSTED_FOR`` seconds from
the last moment at which they were known to be current: the listener's last confirmation, or their last reading. A
change that was announced and is not applied yet ends that time too, so that a worker that is slow to compile it does
not go on with the routes of before.
"""

from collections.abc import Callable
from time import monotonic
from typing import Protocol

from tenants.database.listener import TRUSTED_FOR

_NEVER = float("-inf")


class Channel(Protocol):
    """The part of ``tenants/database/listener.py`` that is used."""

    confirmed_at: float


class Trust:
    """``until`` is a moment up to which the routes can be used without asking; after it ``renew`` says."""

    def __init__(self, channel: Channel, clock: Callable[[], float] = monotonic) -> None:
        self._channel = channel
        self._clock = clock
        self._read_at = _NEVER  # when the reading of what is in force began
        self._stale_since: float | None = None  # when the first change was announced that is not applied
        self._missed_since: float | None = None  # likewise, since the reading that is under way began
        self.until = _NEVER

    def changed(self) -> None:
        """A change was announced."""
        now = self._clock()
        self._stale_since = now if self._stale_since is None else self._stale_since
        self._missed_since = now if self._missed_since is None else self._missed_since
        self.until = min(self.until, self._stale_since + TRUSTED_FOR)

    def begin(self) -> float:
        """Before the routes are read; the result is for ``applied``."""
        self._missed_since = None
        return self._clock()

    def applied(self, read_at: float) -> None:
        """What was read then is in force."""
        self._read_at, self._stale_since = read_at, self._missed_since

    def renew(self) -> bool:
        """Whether the routes may be used now."""
        until = max(self._channel.confirmed_at, self._read_at) + TRUSTED_FOR
        if self._stale_since is not None:
            until = min(until, self._stale_since + TRUSTED_FOR)
        self.until = until
        return self._clock() < until
