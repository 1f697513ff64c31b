"""The way to Redis: scripts, called by their names, and a watch for silence."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from gateway.throttle.script import SCRIPTS, Script
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.silence import TICK, RoundTrips, Silence

_REHEARSALS = 8
_GIVE_UP = 1.0  # seconds after which a connection that says nothing is closed


class Link:
    """Calls of scripts. ``on_silence`` is called when Redis has owed an answer for longer than the deadline."""

    def __init__(self, url: str, settings: ThrottleSettings, on_silence: Callable[[], None]) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=settings.connections + 1,  # one for the probe, however many calls hang
            timeout=None,
            socket_timeout=_GIVE_UP,
            socket_connect_timeout=_GIVE_UP,
            retry=Retry(NoBackoff(), 0),  # a lost answer is not asked for again: the tokens of the first would be lost
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._slots = asyncio.Semaphore(settings.connections)  # waiting for a connection is not Redis's silence
        self._least_deadline = settings.deadline_seconds
        self._on_silence = on_silence
        self._trips = RoundTrips()
        self._silence = Silence()
        self._known: set[str] = set()  # names of scripts that Redis has
        self._open = 0  # calls not yet answered
        self._answers = 0
        self._watch: asyncio.TimerHandle | None = None

    @property
    def deadline(self) -> float:
        """Seconds of silence that mean that Redis is gone."""
        return self._trips.longest(self._least_deadline)

    async def call(
        self, script: Script, keys: tuple[str, ...], arguments: tuple[bytes, ...]
    ) -> tuple[list[Any], float, float]:
        """Run a script: its reply, and when it was sent and received. Raises RedisError and OSError."""
        async with self._slots:
            sent = self._begin()
            try:
                reply = await self._run(script, keys, arguments)
            finally:
                self._open -= 1
            self._answers += 1
            received = monotonic()
            self._trips.saw(received - sent)
            return reply, sent, received

    async def start(self) -> None:
        """Connect, load the scripts and learn how long an answer takes. Raises RedisError and OSError."""
        for script in SCRIPTS:
            await self._redis.script_load(script.text)
            self._known.add(script.name)
        for _ in range(_REHEARSALS):
            self._trips.saw(await self.ping())

    async def ping(self) -> float:
        """Seconds that Redis takes to answer. Raises RedisError and OSError."""
        sent = monotonic()
        await self._redis.ping()
        self._answers += 1
        return monotonic() - sent

    async def close(self) -> None:
        """Close the connections."""
        if self._watch is not None:
            self._watch.cancel()
        await self._redis.aclose(close_connection_pool=True)

    async def _run(self, script: Script, keys: tuple[str, ...], arguments: tuple[bytes, ...]) -> list[Any]:
        # By name, and not in a pipeline: Redis Cluster refuses EVALSHA there.
        if script.name in self._known:
            try:
                return cast("list[Any]", await self._redis.evalsha(script.name, len(keys), *keys, *arguments))
            except NoScriptError:
                self._known.clear()  # restarted, or its scripts were flushed
        reply = cast("list[Any]", await self._redis.eval(script.text, len(keys), *keys, *arguments))
        self._known.add(script.name)
        return reply

    def _begin(self) -> float:
        self._open += 1
        now = monotonic()
        if self._watch is None:
            first = self._least_deadline / 2  # nearly every answer has come by then
            self._silence.begin(now, first, self._answers)
            self._watch = asyncio.get_running_loop().call_later(first, self._tick)
        return now

    def _tick(self) -> None:
        self._watch = None
        if not self._open:
            return
        now = monotonic()
        self._silence.tick(now, self._answers)
        if self._silence.longer_than(self.deadline, now):
            self._on_silence()
        else:
            self._watch = asyncio.get_running_loop().call_later(TICK, self._tick)
