"""Whether Redis is believed to be there, and the search for it while it is not."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import structlog
from redis.exceptions import RedisError

from gateway.throttle.link import Link

_PROBE_EVERY = 0.1  # seconds
_BLIP = 0.2  # seconds: of a shorter outage the other workers have hardly given shares
_SETTLING = 0.3  # seconds in which every worker finds Redis back and tells what it has given meanwhile

_log = structlog.get_logger("tenantry.throttle")


class Breaker:
    """Open while each worker gives its own share. A background probe closes it again.

    After an outage that all workers have seen it stays open for a moment longer, so that every worker has told Redis
    what it spent: else Redis would grant the whole limit on top of the shares.
    """

    def __init__(self, link: Link, on_open: Callable[[], None], on_return: Callable[[], Awaitable[None]]) -> None:
        self.open = False
        self._link = link
        self._on_open = on_open
        self._on_return = on_return
        self._search: asyncio.Task[None] | None = None
        self._closed = False

    def trip(self, why: str) -> None:
        """Redis does not answer: from now on requests are decided without it."""
        if self.open or self._closed:
            return
        self.open = True
        _log.warning("throttle_without_redis", why=why, consequence="each worker gives its own share of the limits")
        self._search = asyncio.get_running_loop().create_task(self._find())
        self._on_open()

    async def close(self) -> None:
        """Stop searching."""
        self._closed = True  # the client turns a cancellation that meets it connecting into a timeout of its own
        if self._search is not None:
            self._search.cancel()
            await asyncio.wait([self._search])

    async def _find(self) -> None:
        tripped = monotonic()
        while not await self._answers():
            if self._closed:
                return
            await asyncio.sleep(_PROBE_EVERY)
        away = monotonic() - tripped
        await self._on_return()
        if away > _BLIP:
            await asyncio.sleep(_SETTLING)
            await self._on_return()
        self.open = False
        _log.info("throttle_with_redis", away_seconds=round(away, 3))

    async def _answers(self) -> bool:
        """Redis answers within the deadline, as requests will need it to."""
        try:
            seconds = await self._link.ping()
            if seconds > self._link.deadline:
                await self._on_return()  # slow, but it can be told what was spent; and the next answer may be quick
                seconds = await self._link.ping()
        except (RedisError, OSError):
            return False
        return seconds <= self._link.deadline
