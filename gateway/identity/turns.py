"""Turns for work that is allowed at a bounded pace only, fairly between its sources.

A source with too many failures may still check credentials, because one of them may be good. Each costs some 0.2 ms of
a processor (a signature, or a share of a query), so all of them together get at most 320 turns a second of a worker.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from tenants.fair_queue import FairQueue

Turn = Callable[[Hashable], Awaitable[None]]  # waits in the queue of this kind; raises when there are too many

_AT_ONCE = 16  # turns; what they look up shares one or two queries
_INTERVAL = 0.05  # seconds
_LONGEST_WAIT = 4.0  # seconds (OP3)
_MOST_OF_ONE = 64  # waiting, of one source
_MOST = 2_000  # waiting, of all sources


class Turns:
    """At most ``at_once`` turns in each ``interval``; the sources that wait are served in turn."""

    def __init__(self, *, at_once: int = _AT_ONCE, interval: float = _INTERVAL) -> None:
        self._at_once = at_once
        self._interval = interval
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue()
        self._task: asyncio.Task[None] | None = None  # runs while somebody waits

    def __len__(self) -> int:
        """Number of callers that wait, including those that have given up since the last turn."""
        return len(self._queue)

    async def wait(self, source: Hashable) -> bool:
        """Wait for a turn. False when too many wait already, or it did not come in time."""
        if len(self._queue) >= _MOST or self._queue.length(source) >= _MOST_OF_ONE:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put(source, turn)
        if self._task is None:
            self._task = asyncio.create_task(self._give(), name="credential-turns")
        try:
            async with asyncio.timeout(_LONGEST_WAIT):
                await turn
        except TimeoutError:
            return False
        return True

    async def _give(self) -> None:
        try:
            while self._queue:
                for turn in self._queue.take(self._at_once):
                    if not turn.done():  # its caller has not given up
                        turn.set_result(None)
                        await asyncio.sleep(0)  # a check takes long enough that others must not wait for 16 of them
                await asyncio.sleep(self._interval)
        finally:
            self._task = None  # in the same step as the check for an empty queue: a later caller starts another
