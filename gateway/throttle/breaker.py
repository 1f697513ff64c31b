"""Whether Redis is believed to be there, and the search for it while it is not."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import structlog
from redis.exceptions import RedisError

from gateway.throttle.figures import Figures
from gateway.throttle.link import Link

_PROBE_EVERY = 0.1  # seconds
_BLIP = 0.05  # seconds: a shorter outage was this worker's alone
_SETTLING = 1.0  # seconds in which every worker finds Redis back

_log = structlog.get_logger("tenantry.throttle")


class Breaker:
    """Who decides: Redis; or, while the breaker is open, each worker by its own share.

    A background probe closes it again, after Redis was told what was spent meanwhile. Then it settles for a moment:
    Redis decides, but a worker still gives no more than its share, since others may not have told theirs yet. Without
    a link it is always open.
    """

    def __init__(
        self,
        link: Link | None,
        on_open: Callable[[], None],
        on_return: Callable[[], Awaitable[None]],
        figures: Figures,
    ) -> None:
        self.open = link is None
        self.settling = False
        self._link = link
        self._on_open = on_open
        self._on_return = on_return
        self._figures = figures
        self._search: asyncio.Task[None] | None = None
        self._ended = False

    def trip(self, why: str) -> None:
        """Redis does not answer: from now on requests are decided without it."""
        if self.open or self._ended or self._link is None:
            return
        self.open, self.settling = True, False
        self._figures.outages += 1
        _log.warning("throttle_without_redis", why=why, consequence="each worker gives its own share of the limits")
        if self._search is not None:
            self._search.cancel()
        self._search = asyncio.get_running_loop().create_task(self._find(self._link))
        self._on_open()

    async def close(self) -> None:
        """Stop searching."""
        self._ended = True  # the client turns a cancellation that meets it connecting into a timeout of its own
        if self._search is not None:
            self._search.cancel()
            await asyncio.wait([self._search])

    async def _find(self, link: Link) -> None:
        tripped = monotonic()
        while not await self._answers(link):
            if self._ended:
                return
            await asyncio.sleep(_PROBE_EVERY)
        await self._on_return()
        away = monotonic() - tripped
        self.open, self.settling = False, away > _BLIP
        _log.info("throttle_with_redis", away_seconds=round(away, 3))
        await asyncio.sleep(_SETTLING)
        self.settling = False

    async def _answers(self, link: Link) -> bool:
        """Redis answers within the deadline, as requests will need it to."""
        try:
            seconds = await link.ping()
            if seconds > link.deadline:
                await self._on_return()  # slow, but it can be told what was spent; and the next answer may be quick
                seconds = await link.ping()
        except (RedisError, OSError):
            return False
        return seconds <= link.deadline
