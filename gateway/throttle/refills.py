"""When Redis is asked: for requests that wait, ahead of need, and to give back."""

import asyncio
from collections.abc import Coroutine
from math import inf
from time import monotonic
from typing import Any

import structlog
from redis.exceptions import RedisError

from gateway.throttle.account import Account
from gateway.throttle.breaker import Breaker
from gateway.throttle.figures import Figures
from gateway.throttle.leased import AskT, Leased
from gateway.throttle.link import Link
from gateway.throttle.settings import ThrottleSettings

_LAST_ANSWERS = 1.0  # seconds that a worker which ends waits for them: it may give back tokens of thousands of tenants

_log = structlog.get_logger("tenantry.throttle")


class Refills:
    """Keeps one worker in tokens and slots. At most one call for more is under way for each account and tenant."""

    def __init__(self, settings: ThrottleSettings) -> None:
        self.figures = Figures()
        self._link = Link(settings.redis_url, settings, self._on_silence) if settings.redis_url else None
        self.breaker = Breaker(self._link, self._release_all, self.tell_debts, self.figures)
        self._busy: dict[str, Leased[Any]] = {}  # with a call under way
        self._indebted: dict[str, Leased[Any]] = {}  # Redis does not know what became of them
        self._tasks: set[asyncio.Task[object]] = set()
        self._ended = False

    @property
    def answering(self) -> bool:
        """Redis decides; else this worker gives its own share."""
        return not self.breaker.open

    async def start(self) -> None:
        """Connect before the first request, which would take the time of connecting for silence."""
        if self._link is None:
            return
        try:
            await self._link.start()
        except (RedisError, OSError) as error:
            self.breaker.trip(type(error).__name__)

    async def lease(self, *wanted: tuple[Leased[Any], int]) -> float:
        """Wait until all of it is at hand, or it is known that some of it cannot be had, or Redis is silent.

        Returns the moment of which that is true. Raises what a call has failed with, if that is no fault of Redis's.
        """
        while self.answering:
            now = monotonic()
            lacking = [(leased, cost) for leased, cost in wanted if not leased.at_hand(now, cost)]
            if not lacking or any(leased.closed(now, cost) for leased, cost in lacking):
                return now
            await _all([self._wait_for(leased, cost) for leased, cost in lacking])
        return monotonic()

    def ahead(self, leased: Leased[Any], now: float) -> None:
        """Little is left: ask for more while it lasts."""
        if self.answering and leased.wants_more(now):
            self._call(leased)

    def watch(self, leased: Leased[Any]) -> None:
        """Where no further call tells what became of a lease, one more does when it is due."""
        due = leased.due()
        if due is None or leased.wakes_at <= due or leased.asking:
            return
        if leased.wakes is not None:
            leased.wakes.cancel()
        leased.wakes_at = due
        wait = max(0.0, due - monotonic())
        leased.wakes = asyncio.get_running_loop().call_later(wait, self._wake, leased)

    def owe(self, leased: Leased[Any]) -> None:
        """Redis will be told what became of it, when it is there."""
        if self._link is not None:
            self._indebted[leased.name] = leased

    def give_back(self, account: Account) -> None:
        """The account is used no more: nothing of it must stay counted that was not spent."""
        account.retire(monotonic())
        if self.answering:
            self._start(self._report(account))

    async def settle(self, account: Account) -> None:
        """Before the account is forgotten: what went back unspent would count for as long as its longest window."""
        if account.leases.has_moves and self.answering:
            await self._report(account)

    async def tell_debts(self) -> None:
        """Tell Redis what was used without asking it."""
        while self._indebted:
            _, leased = self._indebted.popitem()
            try:
                told = await self._report(leased)
            except Exception as fault:  # noqa: BLE001 - whatever it is, the search for Redis must not end with it
                _log.error("throttle_debt_not_told", exc_info=fault)
                continue
            if not told:
                return

    async def close(self) -> None:
        """Stop asking, when Redis has heard of what is under way. What is leased even then ends with its life."""
        self._ended = True  # a look that was due would open a connection anew
        await self.breaker.close()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_LAST_ANSWERS)
            for task in late:
                task.cancel()
                await asyncio.wait([task])
        if self._link is not None:
            await self._link.close()

    def _on_silence(self) -> None:
        self.breaker.trip("silence")

    def _wait_for(self, leased: Leased[Any], cost: int) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        leased.waiting.append((waiter, cost))
        self._call(leased)
        return waiter

    def _call(self, leased: Leased[Any], *, ahead: bool = True) -> None:
        if not leased.asking:
            leased.asking = True
            self._busy[leased.name] = leased
            self._start(self._ask(leased, ahead=ahead))

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("throttle_call_failed", exc_info=fault)

    async def _ask(self, leased: Leased[Any], *, ahead: bool) -> None:
        try:
            asked = leased.ask(monotonic(), leased.costs_waiting(), ahead=ahead)
            if asked.worth_sending:
                await self._send(leased, asked)
        except Exception as fault:
            leased.fail(fault)
            raise
        finally:
            leased.asking = False
            self._busy.pop(leased.name, None)
            leased.release()
            self.watch(leased)

    async def _report(self, leased: Leased[Any]) -> bool:
        asked = leased.ask(monotonic(), [], ahead=False)
        told = not asked.worth_sending or await self._send(leased, asked)
        self.watch(leased)
        return told

    async def _send(self, leased: Leased[AskT], asked: AskT) -> bool:
        if self._link is None:
            return False
        try:
            reply, sent, received = await self._link.call(leased.script, leased.keys, asked.arguments)
        except (RedisError, OSError) as error:
            leased.unanswered(asked)
            self.figures.unanswered += 1
            if leased.owes:
                self.owe(leased)
            self.breaker.trip(type(error).__name__)
            return False
        leased.answered(reply, sent=sent, received=received, asked=asked)
        self.figures.answered += 1
        self.figures.seconds += received - sent
        return True

    def _wake(self, leased: Leased[Any]) -> None:
        leased.wakes, leased.wakes_at = None, inf
        if self._ended:
            return
        if not leased.has_news(monotonic()):
            self.watch(leased)
        elif self.answering:
            self._call(leased, ahead=False)
        else:
            self.owe(leased)

    def _release_all(self) -> None:
        for leased in self._busy.values():
            leased.release()


async def _all(waiters: list[asyncio.Future[None]]) -> None:
    """Wait for each; a client that leaves meanwhile waits for none. Raises what a call has failed with."""
    try:
        await asyncio.gather(*waiters)
    finally:
        for waiter in waiters:
            waiter.cancel()
