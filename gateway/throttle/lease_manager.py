"""Decides when Redis is called: for waiting requests, ahead of need, and to report or return."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from math import inf
from time import monotonic
from typing import Any

import structlog
from redis.exceptions import RedisError

from gateway.throttle.account import Account
from gateway.throttle.breaker import CircuitBreaker
from gateway.throttle.leased_resource import STORE_NOTHING, LeasedResource, RequestT, ThrottleStats
from gateway.throttle.redis_client import RedisClient
from gateway.throttle.settings import ThrottleSettings

_SHUTDOWN_SECONDS = 1.0  # for the last reports: a stopping worker may return tokens of thousands of tenants

_log = structlog.get_logger("tenantry.throttle")


class LeaseManager:
    """Leases tokens and permits for one worker. At most one lease call is pending for each account and tenant."""

    def __init__(self, settings: ThrottleSettings) -> None:
        self.stats = ThrottleStats()
        self._settings = settings
        self._client = RedisClient(settings.redis_url, settings, self._on_timeout) if settings.redis_url else None
        self.breaker = CircuitBreaker(self._client, self._wake_all, self.report_debts, self.stats)
        self._pending: dict[str, LeasedResource[Any]] = {}  # with a call under way
        self._indebted: dict[str, LeasedResource[Any]] = {}  # used without Redis, and not reported yet
        self._tasks: set[asyncio.Task[object]] = set()
        self._stopped = False

    def rehearsal(self) -> "RehearsedLeases":
        """What decides as this does, for resources that are rehearsals, and changes nothing."""
        return RehearsedLeases(self._settings, self._client, self.breaker)

    @property
    def uses_redis(self) -> bool:
        """Redis decides; otherwise this worker enforces its own share."""
        return not self.breaker.open

    async def start(self) -> None:
        """Connect before the first request, which would take the time of connecting for a timeout."""
        if self._client is None:
            return
        try:
            await self._client.start()
        except (RedisError, OSError) as error:
            self.breaker.trip(type(error).__name__)

    async def lease(self, *needed: tuple[LeasedResource[Any], int]) -> float:
        """Wait until all of it is available, or some of it is exhausted, or Redis is unreachable.

        Returns the moment at which that is true. Raises the error of a failed call unless Redis caused it.
        """
        while self.uses_redis:
            now = monotonic()
            missing = [(resource, cost) for resource, cost in needed if not resource.available(now, cost)]
            if not missing or any(resource.exhausted(now, cost) for resource, cost in missing):
                return now
            await _wait_for_all([self._enqueue(resource, cost) for resource, cost in missing])
        return monotonic()

    def prefetch(self, resource: LeasedResource[Any], now: float) -> None:
        """Lease ahead of need if little is left."""
        if self.uses_redis and resource.needs_refill(now):
            self._start_call(resource)

    def schedule_report(self, resource: LeasedResource[Any]) -> None:
        """Call Redis when a report is due, unless another call comes first."""
        due = resource.report_due()
        if due is None or resource.timer_at <= due or resource.call_pending:
            return
        if resource.timer is not None:
            resource.timer.cancel()
        resource.timer_at = due
        wait = max(0.0, due - monotonic())
        resource.timer = asyncio.get_running_loop().call_later(wait, self._on_timer, resource)

    def report_when_back(self, resource: LeasedResource[Any]) -> None:
        """Report usage once Redis is reachable again."""
        if self._client is not None:
            self._indebted[resource.name] = resource

    def return_tokens(self, account: Account) -> None:
        """Return the unspent tokens of an account that is no longer used."""
        account.retire(monotonic())
        if self.uses_redis and account.leases.has_reports:
            self._start_task(self._report(account))

    async def settle(self, account: Account) -> None:
        """Report before an account is forgotten: unreported returns would count for as long as its longest window."""
        if account.leases.has_reports and self.uses_redis:
            await self._report(account)

    async def report_debts(self) -> None:
        """Report everything that was used without Redis."""
        while self._indebted:
            _, resource = self._indebted.popitem()
            try:
                reported = await self._report(resource)
            except Exception as error:  # noqa: BLE001 - no error may end the probe of the circuit breaker
                _log.error("throttle_report_failed", exc_info=error)
                continue
            if not reported:
                return

    async def stop(self) -> None:
        """Finish the pending calls and close the connections. Tokens leased even later expire by themselves."""
        self._stopped = True  # a due report would open a new connection
        await self.breaker.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_SHUTDOWN_SECONDS)
            for task in late:
                task.cancel()
                await asyncio.wait([task])
        if self._client is not None:
            await self._client.close()

    def _on_timeout(self) -> None:
        self.breaker.trip("timeout")

    def _enqueue(self, resource: LeasedResource[Any], cost: int) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        resource.waiting.append((waiter, cost))
        self._start_call(resource)
        return waiter

    def _start_call(self, resource: LeasedResource[Any], *, ahead: bool = True) -> None:
        if not resource.call_pending:
            resource.call_pending = True
            self._pending[resource.name] = resource
            self._start_task(self._call(resource, ahead=ahead))

    def _start_task(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("throttle_call_failed", exc_info=error)

    async def _call(self, resource: LeasedResource[Any], *, ahead: bool) -> None:
        try:
            request = resource.next_request(monotonic(), resource.waiting_costs(), ahead=ahead)
            if request.worth_sending:
                await self._send(resource, request)
        except Exception as error:
            resource.fail_waiters(error)
            raise
        finally:
            resource.call_pending = False
            self._pending.pop(resource.name, None)
            resource.wake_waiters()
            self.schedule_report(resource)

    async def _report(self, resource: LeasedResource[Any]) -> bool:
        request = resource.next_request(monotonic(), [], ahead=False)
        reported = not request.worth_sending or await self._send(resource, request)
        self.schedule_report(resource)
        return reported

    async def _send(self, resource: LeasedResource[RequestT], request: RequestT) -> bool:
        if self._client is None:
            return False
        try:
            reply, sent, received = await self._client.call(resource.script, resource.keys, request.arguments)
        except (RedisError, OSError) as error:
            resource.apply_failure(request)
            self.stats.calls_failed += 1
            if resource.has_unreported:
                self.report_when_back(resource)
            self.breaker.trip(type(error).__name__)
            return False
        resource.apply_reply(reply, sent=sent, received=received, request=request)
        self.stats.calls_answered += 1
        self.stats.call_seconds += received - sent
        return True

    def _on_timer(self, resource: LeasedResource[Any]) -> None:
        resource.timer, resource.timer_at = None, inf
        if self._stopped:
            return
        if not resource.report_pending(monotonic()):
            self.schedule_report(resource)
        elif self.uses_redis:
            self._start_call(resource, ahead=False)
        else:
            self.report_when_back(resource)

    def _wake_all(self) -> None:
        for resource in self._pending.values():
            resource.wake_waiters()


class RehearsedLeases(LeaseManager):
    """Asks Redis what it would grant (the scripts then store nothing), and reports nothing."""

    def __init__(self, settings: ThrottleSettings, client: RedisClient | None, breaker: CircuitBreaker) -> None:
        super().__init__(replace(settings, redis_url=None))  # connects to nothing itself
        self._client = client
        self.breaker.open, self.breaker.recovering = breaker.open, breaker.recovering

    def prefetch(self, resource: LeasedResource[Any], now: float) -> None:
        """Nothing: a rehearsal ends with its request."""

    def schedule_report(self, resource: LeasedResource[Any]) -> None:
        """Nothing: the original reports."""

    def report_when_back(self, resource: LeasedResource[Any]) -> None:
        """Nothing: the original reports."""

    def return_tokens(self, account: Account) -> None:
        """Return nothing: the original holds the tokens."""

    async def _send(self, resource: LeasedResource[RequestT], request: RequestT) -> bool:
        if self._client is None:
            return False
        arguments = (*request.arguments, STORE_NOTHING)
        try:
            reply, sent, received = await self._client.call(resource.script, resource.keys, arguments)
        except (RedisError, OSError):
            resource.apply_failure(request)
            self.breaker.open, self.breaker.recovering = True, False  # of this rehearsal alone
            return False
        resource.apply_reply(reply, sent=sent, received=received, request=request)
        return True


async def _wait_for_all(waiters: list[asyncio.Future[None]]) -> None:
    """Wait for each; a client that disconnects cancels all of them. Raises the error of a failed call."""
    try:
        await asyncio.gather(*waiters)
    finally:
        for waiter in waiters:
            waiter.cancel()
