"""Loads credentials for those who wait: each once, many with one question to the database, none at another's expense.

A load that is alone starts at once. What comes while others are under way goes with the next question, some 28 times
cheaper for each than alone (60 µs of CPU where one transaction takes 1,700), so that 10,000 credentials which must be
loaded again, or a flood of unknown ones, leave the processor to those who are known. And questions are not asked one
after another without end: past a burst the next one is due a moment after the last, and takes with it whoever has come
by then, so that a flood that trickles in costs no more than one that comes at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass

from gateway.identity.answer import Answer
from gateway.identity.cache import PrincipalCache
from gateway.identity.lanes import Lanes
from gateway.identity.wanted import Wanted
from tenants.errors import Unavailable

_PATIENCE = 4.0  # seconds that a request waits for its credential (OP3)
_ANSWERED_WITHIN = 2.0  # seconds that the database has for one question
_TOGETHER = 64  # credentials in one question: some 4 ms of CPU
_EVERY = 0.01  # seconds from one question to the next, unless so many wait ...
_BURST = 20  # ... or this many were saved up
_ATTEMPTS = 5  # that may be overtaken by a change
_LONGEST_LANE = 1_000  # who comes later is told so at once

Outcome = Answer | Exception
Load = Callable[[Sequence[Wanted]], Awaitable[Sequence[Outcome]]]


@dataclass(eq=False, slots=True)
class _Waiting:
    """One credential that somebody waits for."""

    key: bytes
    wanted: Wanted
    lane: Hashable
    done: asyncio.Future[Outcome]
    callers: int = 0
    attempts: int = 0  # questions that were asked for it


class Loads:
    """At most ``at_once`` questions are under way, so that a flood leaves the database to others."""

    def __init__(self, cache: PrincipalCache, load: Load, *, at_once: int = 2) -> None:
        self._cache = cache
        self._load = load
        self._at_once = at_once
        self._lanes: Lanes[_Waiting] = Lanes()
        self._by_key: dict[bytes, _Waiting] = {}
        self._working = 0
        self._due = float("-inf")  # when the next question would be, had none been saved up
        self.begun = 0  # credentials that were asked for so far
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself holds them but weakly

    def __len__(self) -> int:
        """Credentials that are waited for."""
        return len(self._by_key)

    async def answer(self, key: bytes, wanted: Wanted, lane: Hashable) -> Answer:
        """What the credential of this hash is. Raises Unavailable when that cannot be found out in time."""
        waiting = self._by_key.get(key) or self._begin(key, wanted, lane)
        waiting.callers += 1
        try:
            async with asyncio.timeout(_PATIENCE):
                outcome = await asyncio.shield(waiting.done)  # a caller that leaves takes it from no other
        except TimeoutError as error:
            raise Unavailable(detail="a credential could not be loaded in time") from error
        finally:
            waiting.callers -= 1
        if isinstance(outcome, Unavailable):
            raise Unavailable(detail=outcome.detail) from outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _begin(self, key: bytes, wanted: Wanted, lane: Hashable) -> _Waiting:
        if self._lanes.length(lane) >= _LONGEST_LANE:
            raise Unavailable(detail="too many credentials of one source wait to be loaded")
        waiting = _Waiting(key, wanted, lane, asyncio.get_running_loop().create_future())
        self._by_key[key] = waiting
        self.begun += 1
        self._lanes.put(lane, waiting)
        if self._working < self._at_once:
            self._working += 1
            task = asyncio.create_task(self._work(), name="load-credentials")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return waiting

    async def _work(self) -> None:
        try:
            while self._lanes:
                await self._turn()
                wanted = [each for each in self._lanes.take(_TOGETHER) if self._is_wanted(each)]
                if wanted:
                    await self._ask(wanted)
        finally:
            self._working -= 1  # in the same step as the look at the empty lanes: who comes later starts another

    async def _turn(self) -> None:
        """Wait until the next question is due, or worth asking before."""
        now = asyncio.get_running_loop().time()
        pause = self._due - _BURST * _EVERY - now
        self._due = min(max(self._due, now) + _EVERY, now + (_BURST + 2 * self._at_once) * _EVERY)
        if pause > 0 and len(self._lanes) < _TOGETHER:
            await asyncio.sleep(pause)

    def _is_wanted(self, waiting: _Waiting) -> bool:
        if not waiting.callers:  # all have left: nobody is asked for
            self._finish(waiting, Unavailable())
        return bool(waiting.callers)

    async def _ask(self, batch: Sequence[_Waiting]) -> None:
        for each in batch:
            each.attempts += 1
            if each.attempts == _ATTEMPTS:
                # It will be answered as it then is, for those who wait by now: who comes later could know better.
                self._leave(each)
        began = self._cache.moment()
        for each, outcome in zip(batch, await self._outcomes(batch), strict=True):
            holds = isinstance(outcome, Exception) or self._cache.keep(each.key, outcome, began)
            if holds or each.attempts == _ATTEMPTS:
                self._finish(each, outcome)
            else:
                self._lanes.put(each.lane, each)
            await asyncio.sleep(0)  # whoever goes on with a refusal takes 0.2 ms: others shall not wait for 64 of them

    async def _outcomes(self, batch: Sequence[_Waiting]) -> Sequence[Outcome]:
        try:
            async with asyncio.timeout(_ANSWERED_WITHIN):
                return await self._load([each.wanted for each in batch])
        except TimeoutError:
            return [Unavailable(detail="the database did not say in time whose credentials these are")] * len(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to all who wait
            return [error] * len(batch)

    def _finish(self, waiting: _Waiting, outcome: Outcome) -> None:
        # In the same step as the insertion: nobody may join a load whose answer a change could by then overtake.
        self._leave(waiting)
        waiting.done.set_result(outcome)

    def _leave(self, waiting: _Waiting) -> None:
        if self._by_key.get(waiting.key) is waiting:
            del self._by_key[waiting.key]
