"""The way to Redis: one script, called by its name, and a watch for silence."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from gateway.throttle.account import Reply
from gateway.throttle.settings import ThrottleSettings

_SCRIPT = Path(__file__).with_name("grant.lua").read_text(encoding="utf-8")
_GIVE_UP = 1.0  # seconds after which a connection that says nothing is closed
_SECOND_LOOK = 0.001  # seconds: after a stall of our own loop, what Redis has sent long since is read first
_SPREAD = 8  # deviations of the round trip that are still no silence
_LONGEST_DEADLINE = 0.05  # seconds


class _RoundTrips:
    """Mean and deviation of the time that Redis takes, as TCP keeps them (RFC 6298 section 2)."""

    __slots__ = ("deviation", "mean")

    def __init__(self) -> None:
        self.mean = 0.0
        self.deviation = 0.0

    def saw(self, seconds: float) -> None:
        self.deviation += (abs(seconds - self.mean) - self.deviation) / 4
        self.mean += (seconds - self.mean) / 8


class Link:
    """Calls of grant.lua. ``on_silence`` is called when Redis has owed an answer for longer than the deadline.

    The deadline is that of the settings; where Redis is known to take longer than that (a starved machine), it follows
    the round trips up to 50 ms, because a worker that counts by itself while the others still ask Redis could
    overshoot.
    """

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
        self._slots = asyncio.Semaphore(
            settings.connections
        )  # so that waiting for a connection is not taken for silence
        self._least_deadline = settings.deadline_seconds
        self._on_silence = on_silence
        self._trips = _RoundTrips()
        self._name = ""  # of the script, once Redis has told it
        self._open: dict[int, float] = {}  # calls not yet answered, by number: when they were sent
        self._number = 0
        self._answered = 0.0
        self._watch: asyncio.TimerHandle | None = None

    @property
    def deadline(self) -> float:
        """Seconds of silence that mean that Redis is gone."""
        usual = self._trips.mean + _SPREAD * self._trips.deviation
        return max(self._least_deadline, min(usual, _LONGEST_DEADLINE))

    async def call(self, keys: tuple[str, ...], *arguments: bytes) -> tuple[Reply, float, float]:
        """Run the script: its reply, and when it was sent and received. Raises RedisError and OSError."""
        async with self._slots:
            number, sent = self._begin()
            try:
                reply = await self._run(keys, arguments)
            finally:
                self._open.pop(number, None)
            received = self._answered = monotonic()
            self._trips.saw(received - sent)
            return reply, sent, received

    async def ping(self) -> float:
        """Seconds that Redis takes to answer. Raises RedisError and OSError."""
        sent = monotonic()
        await self._redis.ping()
        self._answered = monotonic()
        return self._answered - sent

    async def close(self) -> None:
        """Close the connections."""
        if self._watch is not None:
            self._watch.cancel()
        await self._redis.aclose(close_connection_pool=True)

    async def _run(self, keys: tuple[str, ...], arguments: tuple[bytes, ...]) -> Reply:
        # By name, and not in a pipeline: Redis Cluster refuses EVALSHA there.
        if self._name:
            try:
                return cast("Reply", await self._redis.evalsha(self._name, len(keys), *keys, *arguments))
            except NoScriptError:
                self._name = ""  # restarted, or its scripts were flushed
        reply = cast("Reply", await self._redis.eval(_SCRIPT, len(keys), *keys, *arguments))
        self._name = self._redis.register_script(_SCRIPT).sha
        return reply

    def _begin(self) -> tuple[int, float]:
        self._number += 1
        now = self._open[self._number] = monotonic()
        if self._watch is None:
            self._look_in(self.deadline - _SECOND_LOOK)
        return self._number, now

    def _look_in(self, seconds: float) -> None:
        self._watch = asyncio.get_running_loop().call_later(max(seconds, _SECOND_LOOK), self._look)

    def _silence(self) -> float:
        oldest = next(iter(self._open.values()))
        return monotonic() - max(oldest, self._answered)

    def _look(self) -> None:
        self._watch = None
        if not self._open:
            return
        left = self.deadline - _SECOND_LOOK - self._silence()
        if left > 0:
            self._look_in(left)
        else:
            # The loop may have been stalled itself, and the answer be waiting to be read: look again after reading.
            self._watch = asyncio.get_running_loop().call_later(_SECOND_LOOK, self._look_again)

    def _look_again(self) -> None:
        self._watch = None
        if not self._open:
            return
        if self._silence() >= self.deadline:
            self._on_silence()
        else:
            self._look_in(self.deadline - _SECOND_LOOK - self._silence())
