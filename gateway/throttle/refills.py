"""When Redis is asked: for requests that wait, ahead of need, and to give back."""

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any

import structlog
from redis.exceptions import RedisError

from gateway.throttle.account import Account, Ask
from gateway.throttle.breaker import Breaker
from gateway.throttle.figures import Figures
from gateway.throttle.link import Link
from gateway.throttle.settings import ThrottleSettings

_log = structlog.get_logger("tenantry.throttle")


class Refills:
    """Keeps the accounts of one worker in tokens. At most one call for tokens is under way for an account."""

    def __init__(self, settings: ThrottleSettings) -> None:
        self.figures = Figures()
        self._link = Link(settings.redis_url, settings, self._on_silence) if settings.redis_url else None
        self.breaker = Breaker(self._link, self._release_all, self.tell_debts, self.figures)
        self._busy: dict[str, Account] = {}  # accounts with a call under way
        self._indebted: dict[str, Account] = {}  # accounts that spent their share
        self._tasks: set[asyncio.Task[object]] = set()

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

    async def lease(self, account: Account, cost: int) -> None:
        """Wait until a token is at hand, or it is known that none can be had, or Redis is silent."""
        while self.answering:
            now = monotonic()
            if account.at_hand(now, cost) or account.closed(now, cost):
                return
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            account.waiting.append((waiter, cost))
            self._call(account)
            await waiter

    def ahead(self, account: Account, now: float) -> None:
        """Few tokens are left: ask for more while they last."""
        if self.answering and account.wants_more(now):
            self._call(account)

    def spend_share(self, account: Account, now: float, cost: int) -> bool:
        """Spend from this worker's own share, which Redis will be told of."""
        admitted = account.share.spend(now, cost)
        if admitted and self._link is not None:
            self._indebted[account.name] = account
        return admitted

    def give_back(self, account: Account) -> None:
        """The account is used no more: nothing of it must stay counted that was not spent."""
        account.retire()
        if self.answering:
            self._start(self._report(account))

    async def tell_debts(self) -> None:
        """Tell Redis what was spent without asking it."""
        while self._indebted:
            _, account = self._indebted.popitem()
            if not await self._report(account):
                return

    async def close(self) -> None:
        """Stop asking. What is still leased ends with its life."""
        await self.breaker.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._link is not None:
            await self._link.close()

    def _on_silence(self) -> None:
        self.breaker.trip("silence")

    def _call(self, account: Account) -> None:
        if not account.asking:
            account.asking = True
            self._busy[account.name] = account
            self._start(self._ask(account))

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("throttle_call_failed", exc_info=fault)

    async def _ask(self, account: Account) -> None:
        try:
            asked = account.ask(monotonic(), account.costs_waiting())
            if asked.worth_sending:
                await self._send(account, asked)
        finally:
            account.asking = False
            self._busy.pop(account.name, None)
            account.release()
            self._flush_later(account)

    async def _report(self, account: Account) -> bool:
        asked = account.ask(monotonic(), [], ahead=False)
        return not asked.worth_sending or await self._send(account, asked)

    async def _send(self, account: Account, asked: Ask) -> bool:
        if self._link is None:
            return False
        try:
            reply, sent, received = await self._link.call(account.keys, account.argument, asked.argument)
        except (RedisError, OSError) as error:
            account.unanswered(asked)
            self.figures.unanswered += 1
            if asked.tells_debts:
                self._indebted[account.name] = account
            self.breaker.trip(type(error).__name__)
            return False
        account.answered(reply, sent=sent, received=received, asked=asked)
        self.figures.answered += 1
        self.figures.seconds += received - sent
        return True

    def _flush_later(self, account: Account) -> None:
        """Where no further call tells what became of a lease, one more does when it has ended."""
        end = account.leases.last_end
        if end is not None and account.flush_at is None and account.windows.largest_batch > 1:
            loop = asyncio.get_running_loop()
            account.flush_at = loop.call_later(max(0.0, end - monotonic()), self._flush, account)

    def _flush(self, account: Account) -> None:
        account.flush_at = None
        account.leases.turn(monotonic())
        if account.leases.last_end is not None:
            self._flush_later(account)
        elif account.leases.has_moves and self.answering:
            self._start(self._report(account))

    def _release_all(self) -> None:
        for account in self._busy.values():
            account.release()
