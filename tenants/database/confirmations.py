"""Waits until every worker of every host applies what is committed (docs/decisions/0040).

A worker trusts its cache for ``TRUSTED_FOR`` seconds from the last answered heartbeat of its change listener. So what
was committed that long ago is applied by every worker, or the worker does not trust its cache. When all workers have
written that they have applied it, a change is answered sooner.
"""

import asyncio
import contextlib
import time
from bisect import bisect_left
from uuid import UUID

import structlog

from tenants.database import workers
from tenants.database.listener import TRUSTED_FOR
from tenants.database.sessions import Database
from tenants.errors import Unavailable

BOUND = TRUSTED_FOR + 0.1  # seconds after which no worker trusts what it loaded before: clocks may differ by 6 %
WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, TRUSTED_FOR)  # seconds: histogram buckets
_FIRST_PAUSE = 0.002  # seconds before the answers are read; they take a round trip to each worker, and back
_LONGEST_PAUSE = 0.01
_SPACING = 0.02  # seconds from one question to the next: each costs every worker a heartbeat, and anyone can log out
_GROWTH = 1.5  # of each pause over the one before

_log = structlog.get_logger(__name__)


class Confirmations:
    """One per process. A change that takes rights away is answered after ``confirm`` (ID14).

    All changes that commit while a question is under way share the next one: the number of questions follows from the
    time that one takes, not from the number of changes.
    """

    def __init__(self, database: Database) -> None:
        self._work = database.control_reads
        self._current: asyncio.Task[bool] | None = None
        self._next: asyncio.Task[bool] | None = None
        self._asked_at = float("-inf")
        self.seconds = 0.0  # that changes waited, all together
        self.waits = [0] * (len(WAITS) + 1)  # changes per bucket of the time that they waited
        self.questions = 0
        self.unanswered = 0  # workers that a question was not answered by in time

    async def confirm(self) -> None:
        """Return when no worker uses anything that was changed before the call.

        Never raises: after ``BOUND`` seconds it holds without an answer, also when PostgreSQL is unavailable.
        """
        began = time.monotonic()  # not the loop's time, which may be that of the beginning of this iteration
        question = self._question()
        await asyncio.wait([question], timeout=BOUND)
        if not (question.done() and not question.cancelled() and question.result()):
            await _sleep_until(began + BOUND)
        seconds = time.monotonic() - began
        self.seconds += seconds
        self.waits[bisect_left(WAITS, seconds)] += 1

    async def close(self) -> None:
        """Give up the questions that are under way."""
        pending = [each for each in (self._current, self._next) if each is not None and not each.done()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _question(self) -> "asyncio.Task[bool]":
        """The next question to be asked, after the call."""
        if self._next is None:
            self._next = asyncio.create_task(self._ask_after(self._current), name="confirm-changes")
        return self._next

    async def _ask_after(self, earlier: "asyncio.Task[bool] | None") -> bool:
        if earlier is not None and not earlier.done():
            await asyncio.wait([earlier])
        await _sleep_until(self._asked_at + _SPACING)
        self._asked_at = time.monotonic()
        self._current, self._next = self._next, None  # in one step with asking: who comes now needs another question
        try:
            return await self._ask()
        except Exception as error:  # noqa: BLE001 - the change is committed, and in force after the bound all the same
            _log.error("changes_unconfirmed", error=f"{type(error).__name__}: {error}")
            return False

    async def _ask(self) -> bool:
        """Whether every worker has answered, or cannot trust what was loaded before the question any more."""
        self.questions += 1
        question = await self._asked(time.monotonic() + BOUND)
        if question is None or question.age is None or question.age < BOUND:
            return False  # the server has crashed: workers whose rows are lost may still trust their caches
        until = time.monotonic() + BOUND
        silent = await self._wait(question, until)
        if silent:
            await _sleep_until(until)
            await self._forget({each: question.beats[each] for each in silent})
        return True

    async def _asked(self, until: float) -> workers.Question | None:
        """Ask, again when that fails: the connection of a pool may be dead, or the server be on its way back."""
        while time.monotonic() < until:
            try:
                return await workers.ask(self._work)
            except Unavailable as error:
                _log.warning("changes_unconfirmed", error=error.detail)
                await asyncio.sleep(_LONGEST_PAUSE)
        return None

    async def _wait(self, question: workers.Question, until: float) -> set[UUID]:
        """Those that have not answered by then."""
        silent, pause = set(question.beats), _FIRST_PAUSE
        while silent and time.monotonic() < until:
            await asyncio.sleep(pause)
            with contextlib.suppress(Unavailable):
                silent = await workers.unanswered(self._work, silent, question.serial)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)
        return silent

    async def _forget(self, beats: dict[UUID, int]) -> None:
        """Remove the rows of workers without a heartbeat since. The next one, if there is one, inserts it again."""
        self.unanswered += len(beats)
        for worker in await workers.forget(self._work, beats):
            _log.warning("worker_forgotten", worker=str(worker.id), host=worker.host, pid=worker.pid)


async def _sleep_until(moment: float) -> None:
    while (left := moment - time.monotonic()) > 0:  # noqa: ASYNC110 - a timer of the loop can end too early
        await asyncio.sleep(left)
