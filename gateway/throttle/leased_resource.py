"""What tokens and concurrency permits have in common: a worker leases them from Redis, and requests wait for them."""

import asyncio
from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass
from hashlib import sha1
from math import inf
from pathlib import Path
from typing import Any, Generic, Self, TypeVar


class Script:
    """A Lua script of this folder. ``sha`` is its SHA-1, by which EVALSHA calls it."""

    __slots__ = ("sha", "text")

    def __init__(self, file: str) -> None:
        self.text = Path(__file__).with_name(file).read_text(encoding="utf-8")
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


GRANT = Script("grant.lua")
CONCURRENCY = Script("concurrency.lua")
SCRIPTS = (GRANT, CONCURRENCY)
STORE_NOTHING = b"1"  # further argument of either script: it replies and changes nothing


@dataclass(slots=True)
class ThrottleStats:
    """Counters of one worker since its start, over all tenants. Tokens that arrived too late count as returned."""

    leased: int = 0  # tokens
    spent: int = 0
    returned: int = 0
    calls_answered: int = 0  # calls to Redis
    calls_failed: int = 0
    call_seconds: float = 0.0  # total of the answered ones
    outages: int = 0  # of Redis, as seen by this worker


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """The arguments of one script call."""

    arguments: tuple[bytes, ...]
    for_waiting: bool  # requests wait for the reply
    worth_sending: bool


RequestT = TypeVar("RequestT", bound=LeaseRequest)


class LeasedResource(ABC, Generic[RequestT]):
    """Tokens of an account, or concurrency permits of a tenant. Does no I/O: ``LeaseManager`` makes the calls."""

    __slots__ = ("call_pending", "keys", "name", "script", "timer", "timer_at", "waiting")

    def __init__(self, name: str, script: Script, keys: tuple[str, ...]) -> None:
        self.name = name  # unique within the worker
        self.script = script
        self.keys = keys  # in Redis
        self.call_pending = False
        self.waiting: list[tuple[asyncio.Future[None], int]] = []  # requests and their costs
        self.timer: asyncio.TimerHandle | None = None  # reports to Redis when no request calls it before
        self.timer_at = inf  # seconds, monotonic

    # -- for a request

    @abstractmethod
    def available(self, now: float, cost: int) -> bool:
        """``cost`` can be spent at once."""

    @abstractmethod
    def exhausted(self, now: float, cost: int) -> bool:
        """``cost`` cannot be spent, and a call to Redis would only confirm it."""

    @abstractmethod
    def needs_refill(self, now: float) -> bool:
        """So little is left that more should be leased ahead of need."""

    def rehearsal(self) -> Self:
        """A copy that shares nothing that changes, for ``LeaseManager.rehearsal``."""
        other = copy(self)
        other.detach()
        return other

    def detach(self) -> None:
        """Replace what this copy shares with its original: no request waits for it, and nothing of it is reported."""
        self.call_pending = False
        self.waiting = []
        self.timer, self.timer_at = None, inf

    # -- calls to Redis

    @abstractmethod
    def next_request(self, now: float, costs: list[int], *, ahead: bool = True) -> RequestT:
        """The next call: for waiting requests of these costs, with ``ahead`` also for future ones, and reports."""

    @abstractmethod
    def apply_reply(self, reply: list[Any], *, sent: float, received: float, request: RequestT) -> None:
        """Store what the script has granted."""

    @abstractmethod
    def apply_failure(self, request: RequestT) -> None:
        """The call failed. It may have been executed or not."""

    @property
    @abstractmethod
    def has_unreported(self) -> bool:
        """Something must be reported to Redis once it is reachable again."""

    @abstractmethod
    def report_due(self) -> float | None:
        """When a report is due even if no request calls Redis; None when there is nothing to report."""

    @abstractmethod
    def report_pending(self, now: float) -> bool:
        """That time has come."""

    # -- requests that wait for a call

    def waiting_costs(self) -> list[int]:
        """Costs of the waiting requests, without those whose clients have disconnected."""
        self.waiting = [each for each in self.waiting if not each[0].done()]
        return [cost for _, cost in self.waiting]

    def wake_waiters(self) -> None:
        """Let every waiting request check again."""
        for waiter in self._take_waiters():
            waiter.set_result(None)

    def fail_waiters(self, error: Exception) -> None:
        """Fail every waiting request: a retry would meet the same error at once, in a tight loop."""
        for waiter in self._take_waiters():
            waiter.set_exception(error)

    def _take_waiters(self) -> list[asyncio.Future[None]]:
        waiting, self.waiting = self.waiting, []
        return [waiter for waiter, _ in waiting if not waiter.done()]
