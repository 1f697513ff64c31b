"""Calls of Lua scripts on Redis, and the detection that it does not respond."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from gateway.throttle.leased_resource import SCRIPTS, Script
from gateway.throttle.redis_timeout import TICK, ResponseTimer, RoundTripTimes
from gateway.throttle.settings import ThrottleSettings

_WARM_UP_PINGS = 8
_SOCKET_TIMEOUT = 1.0  # seconds after which an unresponsive connection is closed


class RedisClient:
    """Calls scripts. ``on_timeout`` is called when Redis has not responded for longer than ``deadline``."""

    def __init__(self, url: str, settings: ThrottleSettings, on_timeout: Callable[[], None]) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=settings.connections + 1,  # one for the probe, however many calls hang
            timeout=None,
            socket_timeout=_SOCKET_TIMEOUT,
            socket_connect_timeout=_SOCKET_TIMEOUT,
            retry=Retry(NoBackoff(), 0),  # a retry after a lost reply would lose the tokens of the first call
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._semaphore = asyncio.Semaphore(settings.connections)  # waiting for a connection is no timeout of Redis
        self._min_deadline = settings.deadline_seconds
        self._on_timeout = on_timeout
        self._round_trips = RoundTripTimes()
        self._timer = ResponseTimer()
        self._loaded: set[str] = set()  # SHA-1 of the scripts that Redis has
        self._pending = 0  # calls without a reply
        self._replies = 0
        self._tick_handle: asyncio.TimerHandle | None = None

    @property
    def deadline(self) -> float:
        """Seconds without a reply after which Redis counts as unreachable."""
        return self._round_trips.deadline(self._min_deadline)

    async def call(
        self, script: Script, keys: tuple[str, ...], arguments: tuple[bytes, ...]
    ) -> tuple[list[Any], float, float]:
        """Run a script: its reply, and when it was sent and received. Raises RedisError and OSError."""
        async with self._semaphore:
            sent = self._begin()
            try:
                reply = await self._run(script, keys, arguments)
            finally:
                self._pending -= 1
            self._replies += 1
            received = monotonic()
            self._round_trips.observe(received - sent)
            return reply, sent, received

    async def start(self) -> None:
        """Connect, load the scripts and measure the round trip time. Raises RedisError and OSError."""
        for script in SCRIPTS:
            await self._redis.script_load(script.text)
            self._loaded.add(script.sha)
        for _ in range(_WARM_UP_PINGS):
            self._round_trips.observe(await self.ping())

    async def ping(self) -> float:
        """The round trip time in seconds. Raises RedisError and OSError."""
        sent = monotonic()
        await self._redis.ping()
        self._replies += 1
        return monotonic() - sent

    async def close(self) -> None:
        """Close the connections."""
        if self._tick_handle is not None:
            self._tick_handle.cancel()
        await self._redis.aclose(close_connection_pool=True)

    async def _run(self, script: Script, keys: tuple[str, ...], arguments: tuple[bytes, ...]) -> list[Any]:
        # EVALSHA, and not in a pipeline: Redis Cluster refuses EVALSHA there.
        if script.sha in self._loaded:
            try:
                return cast("list[Any]", await self._redis.evalsha(script.sha, len(keys), *keys, *arguments))
            except NoScriptError:
                self._loaded.clear()  # Redis was restarted, or its scripts were flushed
        reply = cast("list[Any]", await self._redis.eval(script.text, len(keys), *keys, *arguments))
        self._loaded.add(script.sha)
        return reply

    def _begin(self) -> float:
        self._pending += 1
        now = monotonic()
        if self._tick_handle is None:
            first = self._min_deadline / 2  # nearly every reply has arrived by then
            self._timer.start(now, first, self._replies)
            self._tick_handle = asyncio.get_running_loop().call_later(first, self._tick)
        return now

    def _tick(self) -> None:
        self._tick_handle = None
        if not self._pending:
            return
        now = monotonic()
        self._timer.tick(now, self._replies)
        if self._timer.exceeds(self.deadline, now):
            self._on_timeout()
        else:
            self._tick_handle = asyncio.get_running_loop().call_later(TICK, self._tick)
