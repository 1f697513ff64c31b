"""What a worker leases from Redis for one tenant: how it asks for it, and the requests that wait for it."""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf
from typing import Any, Generic, TypeVar

from gateway.throttle.script import Script


@dataclass(frozen=True, slots=True)
class Ask:
    """One call of a script."""

    arguments: tuple[bytes, ...]
    for_waiting: bool
    worth_sending: bool


AskT = TypeVar("AskT", bound=Ask)


class Leased(ABC, Generic[AskT]):
    """Tokens of an account, or slots of a tenant. ``Refills`` keeps them up; they themselves wait for nothing."""

    __slots__ = ("asking", "keys", "name", "script", "waiting", "wakes", "wakes_at")

    def __init__(self, name: str, script: Script, keys: tuple[str, ...]) -> None:
        self.name = name  # of its own in this worker
        self.script = script
        self.keys = keys  # of its states in Redis
        self.asking = False  # a call is under way
        self.waiting: list[tuple[asyncio.Future[None], int]] = []  # requests and how much they need
        self.wakes: asyncio.TimerHandle | None = None  # the look that is taken when no request asks before
        self.wakes_at = inf  # seconds, as ``now`` everywhere

    # -- what a request asks

    @abstractmethod
    def at_hand(self, now: float, cost: int) -> bool:
        """So much can be had at once."""

    @abstractmethod
    def closed(self, now: float, cost: int) -> bool:
        """So much cannot be had, and asking Redis would only say so again."""

    @abstractmethod
    def wants_more(self, now: float) -> bool:
        """So little is left that more should be asked for while it lasts."""

    # -- calls to Redis

    @abstractmethod
    def ask(self, now: float, costs: list[int], *, ahead: bool = True) -> AskT:
        """The next call: for waiting requests of these costs, with ``ahead`` for those that will come, and reports."""

    @abstractmethod
    def answered(self, reply: list[Any], *, sent: float, received: float, asked: AskT) -> None:
        """Take in what the script has granted."""

    @abstractmethod
    def unanswered(self, asked: AskT) -> None:
        """The call failed, and may have been executed or not."""

    @property
    @abstractmethod
    def owes(self) -> bool:
        """Redis must be told of something when it is back."""

    @abstractmethod
    def due(self) -> float | None:
        """When Redis must be told of something though no request asks; None when there is nothing to tell."""

    @abstractmethod
    def has_news(self, now: float) -> bool:
        """That moment has come."""

    # -- requests that wait for a call

    def costs_waiting(self) -> list[int]:
        """Of the requests that wait; those whose clients have gone need nothing."""
        self.waiting = [each for each in self.waiting if not each[0].done()]
        return [cost for _, cost in self.waiting]

    def release(self) -> None:
        """Let all that wait look again."""
        for waiter in self._take_waiters():
            waiter.set_result(None)

    def fail(self, fault: Exception) -> None:
        """Fail all that wait: to look again would only meet the same fault again, without a pause."""
        for waiter in self._take_waiters():
            waiter.set_exception(fault)

    def _take_waiters(self) -> list[asyncio.Future[None]]:
        waiting, self.waiting = self.waiting, []
        return [waiter for waiter, _ in waiting if not waiter.done()]
