"""The circuit breaker in front of Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import structlog
from redis.exceptions import RedisError

from gateway.throttle.leased_resource import ThrottleStats
from gateway.throttle.redis_client import RedisClient

_PROBE_INTERVAL = 0.1  # seconds
_BLIP = 0.05  # seconds: a shorter outage concerned this worker alone
_RECOVERY = 1.0  # seconds in which every worker finds Redis again

_log = structlog.get_logger("tenantry.throttle")


class CircuitBreaker:
    """While it is closed Redis decides; while it is open each worker enforces its own share of the limits.

    A background probe closes it, after everything spent meanwhile was reported. For a moment it is then ``recovering``:
    Redis decides, but a worker admits no more than its share, since others may not have reported yet. Without a client
    it is always open.
    """

    def __init__(
        self,
        client: RedisClient | None,
        on_open: Callable[[], None],
        before_close: Callable[[], Awaitable[None]],
        stats: ThrottleStats,
    ) -> None:
        self.open = client is None
        self.recovering = False
        self._client = client
        self._on_open = on_open
        self._before_close = before_close
        self._stats = stats
        self._probe: asyncio.Task[None] | None = None
        self._stopped = False

    def trip(self, reason: str) -> None:
        """Open: Redis does not respond."""
        if self.open or self._stopped or self._client is None:
            return
        self.open, self.recovering = True, False
        self._stats.outages += 1
        _log.warning("throttle_without_redis", reason=reason, effect="each worker enforces its share of the limits")
        if self._probe is not None:
            self._probe.cancel()
        self._probe = asyncio.get_running_loop().create_task(self._probe_until_closed(self._client))
        self._on_open()

    async def stop(self) -> None:
        """Stop probing."""
        self._stopped = True  # redis-py turns a cancellation while it connects into a timeout error
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe])

    async def _probe_until_closed(self, client: RedisClient) -> None:
        tripped = monotonic()
        while not await self._responds(client):
            if self._stopped:
                return
            await asyncio.sleep(_PROBE_INTERVAL)
        await self._before_close()
        outage = monotonic() - tripped
        self.open, self.recovering = False, outage > _BLIP
        _log.info("throttle_with_redis", outage_seconds=round(outage, 3))
        await asyncio.sleep(_RECOVERY)
        self.recovering = False

    async def _responds(self, client: RedisClient) -> bool:
        """Redis responds within the deadline, as requests will need it to."""
        try:
            seconds = await client.ping()
            if seconds > client.deadline:
                await self._before_close()  # slow, but able to take reports; the next response may be quick
                seconds = await client.ping()
        except (RedisError, OSError):
            return False
        return seconds <= client.deadline
